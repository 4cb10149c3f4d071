"""The composition root of the courier: rounds, a second apart, until SIGTERM."""

import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing

import structlog

from common import logs
from common.errors import TransientError
from common.mongo.connection import ServerClock, connect, open_database
from common.mongo.jobs import MongoJobStore
from common.mongo.workers import MongoWorkerRegistry
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.topology import parameters
from common.settings import Settings, load_or_exit
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
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with ExitStack() as opened:
        client = opened.enter_context(
            connect(settings.mongo_url.get_secret_value(), timeout_s=settings.store_timeout_s)
        )
        database = open_database(client, settings.mongo_database)
        now_ms = ServerClock(database).now_ms
        store = MongoJobStore(database, now_ms=now_ms, publish_after_s=settings.publish_after_s)
        registry = MongoWorkerRegistry(database, now_ms=now_ms, lease_s=settings.lease_s)
        publisher = opened.enter_context(closing(_publisher(settings)))
        rescuer = Rescuer(
            store,
            registry,
            max_attempts=settings.max_attempts,
            confirm_s=settings.lease_s / HEARTBEATS_A_LEASE,
        )
        log.info("ready")
        _repeat(
            stopping,
            [
                _once(store.ensure_indexes),
                _once(registry.ensure_indexes),
                rescuer.rescue,
                lambda: relay(store, publisher, at_most=_RELAY_AT_ONCE),
                lambda: store.expire(retention_s=settings.retention_s),
                registry.forget_long_dead,
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
