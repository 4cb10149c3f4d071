"""The queues as the courier sees them: how full the one is, and what lies in the dead one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import BasicProperties

from common.errors import BrokerUnavailableError
from common.ports import DeadLetter, Sight
from common.rabbitmq.topology import DEAD_QUEUE, QUEUE, connect, declare

_NOT_FOUND: Final = 404


class RabbitQueues:
    """Both queues over one connection, which is opened when it is needed.

    After an error the next call opens it again. It belongs to the thread that calls, which must
    do so more often than the heartbeat interval. A frozen broker holds a call for two of those.
    """

    def __init__(self, parameters: pika.URLParameters) -> None:
        self._parameters = parameters
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None

    def look(self) -> Sight:
        """Look whether there are messages in the queue; declare it if it is missing.

        Raises:
            BrokerUnavailableError: RabbitMQ does not say.
        """
        with self._on_channel() as channel:
            try:
                declared = channel.queue_declare(QUEUE, passive=True)
            except ChannelClosedByBroker as exc:
                self._declare_missing(exc)
                return Sight.MISSING
        return Sight.FILLED if declared.method.message_count else Sight.EMPTY

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
            with suppress(BrokerUnavailableError), self._on_channel() as channel:
                channel.basic_nack(tag, requeue=True)
            raise
        with self._on_channel() as channel:
            channel.basic_ack(tag)

    def close(self) -> None:
        """Close the connection, if there is one."""
        with suppress(AMQPError, OSError):
            if self._connection is not None and self._connection.is_open:
                self._connection.close()

    def _take(self) -> tuple[int, DeadLetter] | None:
        with self._on_channel() as channel:
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
    def _on_channel(self) -> Iterator[BlockingChannel]:
        try:
            yield self._open()
        except (AMQPError, OSError) as exc:
            self._channel = None
            raise BrokerUnavailableError(f"RabbitMQ: {exc!r}") from exc

    def _open(self) -> BlockingChannel:
        if self._connection is None or not self._connection.is_open:
            self._channel = None
            self._connection = connect(self._parameters)
        if self._channel is None or not self._channel.is_open:
            self._channel = self._connection.channel()
        return self._channel

    def _declare_missing(self, reason: ChannelClosedByBroker) -> None:
        if reason.reply_code != _NOT_FOUND:
            raise reason
        # RabbitMQ has closed the channel. It also says 404 of a queue whose node is down, which
        # cannot be declared.
        declare(self._open())


def _reason(properties: BasicProperties | None) -> str | None:
    """Say why the message was dead-lettered last; None if RabbitMQ did not do it."""
    match properties and properties.headers:
        case {"x-death": [{"reason": str(reason)}, *_]}:
            return reason
    return None
