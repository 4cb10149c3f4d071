"""Remove one guarantee, to see which drill notices.

A drill that passes without what it is there for proves nothing. The roles import this
module first (see ``testbed/system.py``) when a guarantee is to be missing; nothing in
the service itself knows of it.
"""

import os
from collections.abc import Callable
from typing import Any, Final

VARIABLE: Final = "DARKROOM_DRILL_WITHOUT"


def _fence() -> None:
    """Let a save overwrite any record."""
    from common.jobs import Job  # noqa: PLC0415
    from common.mongo.jobs import MongoJobStore  # noqa: PLC0415
    from common.mongo.moves import moved_to  # noqa: PLC0415

    def save(self: Any, job: Job, *, previous: Job) -> None:
        update = moved_to(job, previous=previous, setbacks=(), now_ms=self._now_ms())
        self._jobs.update_one({"_id": job.job_id}, update)

    _patched(MongoJobStore).save = save


def _rescue() -> None:
    """Never return the jobs of dead and stuck consumers."""
    from courier.duties.rescue import Rescuer  # noqa: PLC0415

    _patched(Rescuer).rescue = lambda _self: 0


def _confirm() -> None:
    """Count a message as queued as soon as the connection's thread has it."""
    from common.messages import ClassifyMessage  # noqa: PLC0415
    from common.rabbitmq.publisher import RabbitPublisher  # noqa: PLC0415

    def publish(self: Any, message: ClassifyMessage) -> None:
        if self._session is not None:
            self._session.send(message)

    _patched(RabbitPublisher).publish = publish


def _ack_after_save() -> None:
    """Let RabbitMQ forget every message on delivery."""
    from pika.adapters.blocking_connection import BlockingChannel  # noqa: PLC0415

    consume = BlockingChannel.basic_consume

    def basic_consume(self: Any, queue: str, on_message: Any, **options: Any) -> Any:
        return consume(self, queue, on_message, **{**options, "auto_ack": True})

    channel = _patched(BlockingChannel)
    channel.basic_consume = basic_consume
    channel.basic_ack = channel.basic_nack = lambda *_args, **_options: None


def _patched(kind: type) -> Any:
    """Name a class whose methods are about to be replaced."""
    return kind


GUARANTEES: Final[dict[str, Callable[[], None]]] = {
    "fence": _fence,
    "rescue": _rescue,
    "confirm": _confirm,
    "ack-after-save": _ack_after_save,
}

if (missing := os.environ.get(VARIABLE)) is not None:
    GUARANTEES[missing]()
