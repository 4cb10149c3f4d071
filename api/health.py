"""Liveness and readiness, for load balancers and for people."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from flask import Blueprint, Response, jsonify

from api.problems import ProblemError
from api.schemas import HealthView, ReadinessView, as_json
from common.errors import StoreForbiddenError, StoreRefusedError, StoreUnavailableError
from common.ports import WorkerRegistry

OK = "ok"


def create_blueprint(
    registry: WorkerRegistry,
    broker_is_open: Callable[[], bool],
    shortage: Callable[[], str],
) -> Blueprint:
    """Make the views of health."""
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    def alive() -> Response:
        """Say that this process answers."""
        return jsonify(as_json(HealthView()))

    @health.get("/readyz")
    def ready() -> Response:
        """Say whether a job handed in now would be classified soon."""
        store, consumer = _store_and_consumer(registry)
        broker = OK if broker_is_open() else "RabbitMQ takes no messages now"
        checks = {"store": store, "broker": broker, "consumer": consumer}
        if store == OK and (lack := _lack(shortage)):
            checks["storage"] = lack
        wrong = "; ".join(f"{name}: {state}" for name, state in checks.items() if state != OK)
        if wrong:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "not-ready",
                "The service is not ready",
                wrong,
                headers={"Retry-After": "1"},
                checks=checks,
            )
        return jsonify(as_json(ReadinessView(checks=checks)))

    return health


def _lack(shortage: Callable[[], str]) -> str:
    """Say why no new image would be accepted; empty if one would, or nobody knows."""
    with suppress(StoreUnavailableError):  # it answered a moment ago, and will again
        return shortage()
    return ""


def _store_and_consumer(registry: WorkerRegistry) -> tuple[str, str]:
    try:
        workers = registry.living()
    except StoreUnavailableError:
        return "MongoDB does not answer", "unknown"
    except StoreForbiddenError:
        return "MongoDB does not allow it: see DARKROOM_MONGO_URL and its user's rights", "unknown"
    except StoreRefusedError:
        return "MongoDB refuses the question: the log of the API says why", "unknown"
    if not workers:
        return OK, "no consumer is alive"
    if not any(worker.is_ready for worker in workers):
        return OK, "no consumer has a model ready"
    return OK, OK
