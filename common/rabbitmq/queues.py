"""The queues as the courier sees them: the depth of one, and the dead letters in the other."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import BasicProperties

from common.errors import BrokerUnavailableError
from common.ports.queues import DeadLetter, QueueDepth
from common.rabbitmq.topology import DEAD_QUEUE, QUEUE, connect, declare
from common.rabbitmq.trouble import Kind, explain, kind_of

log = structlog.stdlib.get_logger(__name__)

_DECLARE_EVERY_S: Final = 5.0
_ANSWERS_WITHIN_S: Final = 10.0


class _BrokenError(BrokerUnavailableError):
    """RabbitMQ has the queue and cannot use it."""


class RabbitQueues:
    """Both queues over one connection, which is opened when needed.

    After an error the next call opens it again. It belongs to the calling thread, which must call
    more often than the heartbeat interval. A frozen broker blocks a call for two intervals.

    Args:
        parameters: How to connect.
        patience_s: How long a queue must have been broken, since the first failed call, before it
            is replaced. A starting node or the election of a leader needs seconds.
        is_suspect: Returns whether others suspect that the queue is broken.
    """

    def __init__(
        self,
        parameters: pika.URLParameters,
        *,
        patience_s: float,
        is_suspect: Callable[[], bool] = lambda: False,
    ) -> None:
        self._parameters = parameters
        self._patience_s = patience_s
        self._is_suspect = is_suspect
        self._asked_s: float | None = None
        self._broken_since_s: dict[str, float] = {}
        self._troubles: dict[str, str] = {}
        self._declares_at_s = 0.0
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    @property
    def trouble(self) -> str:
        """What is wrong with the queues, as far as known; empty if nothing is.

        Safe from any thread.
        """
        asked_s = self._asked_s
        if asked_s is not None and time.monotonic() - asked_s > _ANSWERS_WITHIN_S:
            return "RabbitMQ does not answer the courier"
        return "; ".join(dict.fromkeys(self._troubles.copy().values()))

    def depth(self) -> QueueDepth:
        """Ask how many messages wait in the queue; declare it if it is missing or broken.

        Raises:
            BrokerUnavailableError: RabbitMQ does not say, or refuses; the text says what to do.
        """
        try:
            return self._depth()
        except _BrokenError:
            if self._replaced(QUEUE):
                return QueueDepth(0, is_new=True)
            raise

    @contextmanager
    def dead_letter(self) -> Iterator[DeadLetter | None]:
        """Take a dead letter, if there is one: for good unless the block raises an error.

        Raises:
            BrokerUnavailableError: RabbitMQ does not answer; it keeps the letter.
        """
        taken = self._take()
        if taken is None:
            yield None
            return
        tag, letter = taken
        try:
            yield letter
        except BaseException:
            with suppress(BrokerUnavailableError), self._on_channel(DEAD_QUEUE) as channel:
                channel.basic_nack(tag, requeue=True)
            raise
        with self._on_channel(DEAD_QUEUE) as channel:
            channel.basic_ack(tag)

    def close(self) -> None:
        """Close the connection, if there is one."""
        with suppress(AMQPError, OSError):
            if self._connection is not None and self._connection.is_open:
                self._connection.close()

    def _depth(self) -> QueueDepth:
        with self._on_channel(QUEUE) as channel:
            try:
                declared = channel.queue_declare(QUEUE, passive=True)
            except ChannelClosedByBroker as exc:
                self._declare_missing(exc)
                log.warning("the queue was missing, with all its messages", queue=QUEUE)
                return QueueDepth(0, is_new=True)
            self._declare_at_times(channel)
            ready = declared.method.message_count
            # RabbitMQ also reports 0 for a queue that has no leader or is broken.
            if not ready or self._is_suspect():
                ready = max(ready, 1) if _holds_one(channel) else 0
        return QueueDepth(ready)

    def _declare_at_times(self, channel: BlockingChannel) -> None:
        """Check that everything is still there, with our properties."""
        if time.monotonic() >= self._declares_at_s:
            declare(channel)
            self._declares_at_s = time.monotonic() + _DECLARE_EVERY_S

    def _replaced(self, queue: str) -> bool:
        """Replace a queue that has been broken for too long; return whether it was.

        Its messages are published again from the records. Only a queue with our name and our
        properties is ours.

        Raises:
            BrokerUnavailableError: It is somebody else's, or RabbitMQ refuses.
        """
        if time.monotonic() - self._broken_since_s[queue] < self._patience_s:
            return False
        with self._on_channel(queue) as channel:
            declare(channel)  # refused if it has other properties
            channel.queue_delete(queue)
            declare(channel)
        log.error("replaced a queue that RabbitMQ could not use", queue=queue)
        return True

    def _take(self) -> tuple[int, DeadLetter] | None:
        try:
            return self._got()
        except _BrokenError:
            if self._replaced(DEAD_QUEUE):
                return None
            raise

    def _got(self) -> tuple[int, DeadLetter] | None:
        with self._on_channel(DEAD_QUEUE) as channel:
            try:
                method, properties, body = channel.basic_get(DEAD_QUEUE)
            except ChannelClosedByBroker as exc:
                self._declare_missing(exc)
                return None
        if method is None or body is None:
            return None
        # Every delivery carries a tag; only the stubs think otherwise.
        return cast(int, method.delivery_tag), DeadLetter(body, _reason(properties))

    @contextmanager
    def _on_channel(self, queue: str) -> Iterator[BlockingChannel]:
        """Yield a channel for a call that concerns *queue*, and record how the call ends."""
        asked_s = self._asked_s = time.monotonic()
        try:
            yield self._open()
        except (AMQPError, OSError) as exc:
            self._channel = None
            self._troubles[queue] = explain(exc, at=queue)
            if kind_of(exc) is Kind.BROKEN:
                # RabbitMQ 3.10 searches for a leader for 65 s before it fails.
                self._broken_since_s.setdefault(queue, asked_s)
                raise _BrokenError(self._troubles[queue]) from exc
            self._broken_since_s.pop(queue, None)
            raise BrokerUnavailableError(self._troubles[queue]) from exc
        finally:
            self._asked_s = None
        self._troubles.pop(queue, None)
        self._broken_since_s.pop(queue, None)

    def _open(self) -> BlockingChannel:
        if self._connection is None or not self._connection.is_open:
            self._channel = None
            self._connection = connect(self._parameters)
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
        return self._channel

    def _declare_missing(self, reason: ChannelClosedByBroker) -> None:
        if kind_of(reason) is not Kind.MISSING:
            raise reason
        declare(self._open())  # RabbitMQ has closed the channel


def _holds_one(channel: BlockingChannel) -> bool:
    """Get a message from the queue, and requeue it: only a leader can answer."""
    method, _, _ = channel.basic_get(QUEUE)
    if method is None:
        return False
    channel.basic_nack(cast(int, method.delivery_tag), requeue=True)
    return True


def _reason(properties: BasicProperties | None) -> str | None:
    """Return why the message was last dead-lettered; None if RabbitMQ did not do it."""
    match properties and properties.headers:
        case {"x-death": [{"reason": str(reason)}, *_]}:
            return reason
    return None
