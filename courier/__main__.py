"""The composition root of the courier: rounds, a second apart, until SIGTERM."""

import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing

import structlog

from common import logs
from common.errors import TransientError
from common.mongo.stores import opened_stores
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.topology import parameters
from common.settings import Settings, load_or_exit
from common.stopping import stop_on_signals
from common.workers import HEARTBEATS_A_LEASE
from courier.relay import relay
from courier.rescue import Rescuer

log = structlog.stdlib.get_logger(__name__)

_PAUSE_S = 1.0
_RELAY_AT_ONCE = 500
# Not a request's time: nobody waits here, and a slow broker is better than none.
_CONFIRM_TIMEOUT_S = 5.0


def main() -> int:
    """Run the courier until SIGTERM or SIGINT; return the exit status."""
    settings = load_or_exit(Settings)
    logs.configure(role="courier", level=settings.log_level, style=settings.log_format)
    with ExitStack() as opened:
        stop = opened.enter_context(stop_on_signals())
        stores = opened.enter_context(opened_stores(settings))
        publisher = opened.enter_context(closing(_publisher(settings)))
        rescuer = Rescuer(
            outbox=stores.jobs,
            registry=stores.workers,
            now_ms=stores.now_ms,
            max_attempts=settings.max_attempts,
            overdue_s=settings.job_time_limit_s + settings.grace_s,
            confirm_s=settings.lease_s / HEARTBEATS_A_LEASE,
        )
        log.info("ready")
        _repeat(
            stop.asked,
            [
                _once(stores.ensure_indexes),
                rescuer.rescue,
                lambda: relay(stores.jobs, publisher, at_most=_RELAY_AT_ONCE),
                lambda: stores.jobs.expire(retention_s=settings.retention_s),
                stores.workers.forget_long_dead,
            ],
        )
    log.info("stopped")
    return 0


def _publisher(settings: Settings) -> RabbitPublisher:
    return RabbitPublisher(
        parameters(
            settings.amqp_url.get_secret_value(),
            heartbeat_s=settings.amqp_heartbeat_s,
            name="courier",
        ),
        timeout_s=_CONFIRM_TIMEOUT_S,
    )


def _repeat(stopping: threading.Event, duties: list[Callable[[], object]]) -> None:
    while not stopping.is_set():
        for duty in duties:
            try:
                duty()
            except TransientError as exc:
                log.warning("cut short until the next round", reason=str(exc))
        stopping.wait(_PAUSE_S)


def _once(duty: Callable[[], object]) -> Callable[[], None]:
    """Make a duty that is done when it has succeeded."""
    is_done = False

    def until_done() -> None:
        nonlocal is_done
        if not is_done:
            duty()
            is_done = True

    return until_done


if __name__ == "__main__":
    sys.exit(main())
