"""The composition root of the courier: rounds, a second apart, until SIGTERM."""

from contextlib import ExitStack, closing
from typing import Final

import pika
import structlog

from common import logs
from common.mongo.stores import Stores, opened_stores
from common.pulse import Pulse
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.queues import RabbitQueues
from common.rabbitmq.topology import parameters
from common.settings.courier import CourierSettings
from common.settings.loading import load_or_exit
from common.stopping import stop_on_signals
from common.workers import HEARTBEATS_PER_LEASE
from courier.duties.broker_report import BrokerReport
from courier.duties.dead_letters import DeadLetters
from courier.duties.lost_messages import Evidence, LostMessages, QueueWatch
from courier.duties.orphans import OrphanedImages
from courier.duties.relay import relay
from courier.duties.rescue import Rescuer
from courier.rounds import Duty, Rounds, every, once, repeat

log = structlog.stdlib.get_logger(__name__)

_PUBLISH_AT_ONCE: Final = 500
_DEAD_LETTERS_AT_ONCE: Final = 100
# Not a request's time: nobody waits here, and a slow broker is better than none.
_CONFIRM_TIMEOUT_S: Final = 5.0
# Less than a supervisor waits; a broker that is frozen holds its thread for longer.
_CLOSE_WITHIN_S: Final = 3.0
_HOUR_S: Final = 3600.0


def main() -> int:
    """Run the courier until SIGTERM or SIGINT; return the exit status."""
    settings = load_or_exit(CourierSettings)
    logs.configure(role="courier", level=settings.log_level, style=settings.log_format)
    stop = stop_on_signals(grace_s=settings.grace_s)
    evidence = Evidence()
    with ExitStack() as opened:
        stores = opened.enter_context(opened_stores(settings))
        publisher = opened.enter_context(
            closing(RabbitPublisher(_connection(settings), timeout_s=_CONFIRM_TIMEOUT_S))
        )
        # RabbitMQ may freeze; the jobs of dead consumers shall not wait for it.
        queues = RabbitQueues(
            _connection(settings),
            patience_s=settings.lease_s,
            is_suspect=lambda: bool(publisher.trouble),
        )
        at_the_queues = duties_at_the_queues(settings, stores, queues, evidence)
        beside = [
            Rounds("queues", stop.asked, at_the_queues, at_end=queues.close),
            # It reports that the others have to wait, so it waits for neither.
            Rounds("report", stop.asked, [_report(settings, stores, queues).report]),
        ]
        for rounds in beside:
            opened.callback(rounds.join, _CLOSE_WITHIN_S)
        log.info("ready")
        repeat(
            stop.asked,
            [
                *(rounds.check for rounds in beside),
                *duties_at_the_store(settings, stores, publisher, evidence),
                Pulse(settings.pulse_file).beat,
            ],
        )
    log.info("stopped")
    return 0


def duties_at_the_store(
    settings: CourierSettings, stores: Stores, publisher: RabbitPublisher, evidence: Evidence
) -> list[Duty]:
    rescuer = Rescuer(
        outbox=stores.jobs,
        registry=stores.workers,
        now_ms=stores.now_ms,
        max_attempts=settings.max_attempts,
        overdue_s=settings.longest_hold_s + settings.grace_s,
        # By then every living consumer has beaten, also one whose last call hung.
        confirm_s=settings.lease_s / HEARTBEATS_PER_LEASE + settings.store_timeout_s,
    )
    lost = LostMessages(
        outbox=stores.jobs,
        evidence=evidence,
        can_publish=lambda: publisher.is_open,
        lease_s=settings.lease_s,
        at_most=_PUBLISH_AT_ONCE,
    )
    return [
        once(stores.ensure_indexes),
        rescuer.rescue,
        lost.publish_again,
        lambda: relay(stores.jobs, publisher, at_most=_PUBLISH_AT_ONCE),
        lambda: stores.jobs.expire(retention_s=settings.retention_s),
        OrphanedImages(images=stores.images, now_ms=stores.now_ms).delete,
        every(_HOUR_S, stores.workers.forget_long_dead),
    ]


def duties_at_the_queues(
    settings: CourierSettings, stores: Stores, queues: RabbitQueues, evidence: Evidence
) -> list[Duty]:
    watch = QueueWatch(
        queue=queues, evidence=evidence, now_ms=stores.now_ms, lease_s=settings.lease_s
    )
    dead_letters = DeadLetters(
        queue=queues,
        outbox=stores.jobs,
        lease_s=settings.lease_s,
        at_most=_DEAD_LETTERS_AT_ONCE,
    )
    return [watch.look, dead_letters.settle]


def _report(settings: CourierSettings, stores: Stores, queues: RabbitQueues) -> BrokerReport:
    return BrokerReport(
        evidence=stores.evidence,
        trouble=lambda: queues.trouble,
        interval_s=settings.lease_s / HEARTBEATS_PER_LEASE,
    )


def _connection(settings: CourierSettings) -> pika.URLParameters:
    return parameters(
        settings.amqp_url.get_secret_value(),
        heartbeat_s=settings.amqp_heartbeat_s,
        name="courier",
    )
