"""The views of liveness and readiness."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from flask import Blueprint, Response, jsonify

from api.health.schemas import HealthView, ReadinessView
from api.problems import ProblemError
from api.schemas import as_json
from common.errors import StoreForbiddenError, StoreRefusedError, StoreUnavailableError
from common.ports.evidence import BrokerEvidence
from common.ports.workers import WorkerRegistry
from common.problems import answers
from common.workers import WorkerRecord

OK = "ok"


def create_health(
    registry: WorkerRegistry,
    broker_trouble: Callable[[], str],
    evidence: BrokerEvidence,
    shortage: Callable[[], str],
) -> Blueprint:
    """Make the resource.

    Args:
        registry: The registry of consumers.
        broker_trouble: Returns why a message sent now would not arrive; empty if it would.
        evidence: What the couriers report about RabbitMQ.
        shortage: Returns why no new image would be accepted; empty if one would.
    """
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    def alive() -> Response:
        """Answer: this process is alive."""
        return jsonify(as_json(HealthView()))

    @health.get("/readyz")
    def ready() -> Response:
        """Report whether a job submitted now would be classified soon."""
        store, consumer = _store_and_consumer(registry)
        checks = {"store": store, "broker": broker_trouble() or OK, "consumer": consumer}
        if store == OK:
            checks |= _found(storage=shortage, courier=evidence.latest)
        return _report(checks)

    return health


def _report(checks: Mapping[str, str]) -> Response:
    """Answer with *checks*.

    Raises:
        ProblemError: One of them found something wrong (503).
    """
    wrong = "; ".join(f"{name}: {state}" for name, state in checks.items() if state != OK)
    if wrong:
        raise ProblemError(answers.NOT_READY, wrong, headers={"Retry-After": "1"}, checks=checks)
    return jsonify(as_json(ReadinessView(checks=dict(checks))))


def _found(**questions: Callable[[], str | None]) -> dict[str, str]:
    """Return what is wrong by check, without the checks that pass."""
    answers = {name: _asked(question) for name, question in questions.items()}
    return {name: wrong for name, wrong in answers.items() if wrong}


def _asked(question: Callable[[], str | None]) -> str:
    """Return what is wrong; empty if nothing is known to be."""
    # It answered a moment ago and will again; the log has what it refuses.
    with suppress(StoreUnavailableError, StoreRefusedError):
        return question() or ""
    return ""


def _store_and_consumer(registry: WorkerRegistry) -> tuple[str, str]:
    try:
        workers = registry.living()
    except StoreUnavailableError:
        return "MongoDB does not answer", "unknown"
    except StoreForbiddenError:
        return (
            "MongoDB denies access: check DARKROOM_MONGO_URL and the rights of its user",
            "unknown",
        )
    except StoreRefusedError:
        return "MongoDB refuses the query: the log of the API says why", "unknown"
    return OK, _what_consumers_lack(workers)


def _what_consumers_lack(workers: Sequence[WorkerRecord]) -> str:
    if not workers:
        return "no consumer is alive"
    ready = [worker for worker in workers if worker.is_ready]
    if not ready:
        return "no consumer has a model ready"
    if all(worker.trouble for worker in ready):
        return f"no consumer receives jobs: {ready[0].trouble}"
    return OK
