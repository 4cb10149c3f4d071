"""Deliveries of the queue, over one connection after another."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, cast

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

from common.ports.deliveries import Disposition, Handled, Receiver
from common.rabbitmq.topology import QUEUE, connect, declare
from common.rabbitmq.trouble import explain
from common.retries import until_stopped
from common.stopping import Stop

log = structlog.stdlib.get_logger(__name__)

_TICK_S: Final = 0.5
_REOPEN_AFTER_S: Final = 0.5
_LOOK_EVERY_S: Final = 2.0
_CLOSE_WITHIN_S: Final = 1.0


class RabbitDeliveries:
    """Receives from the queue in the thread that calls ``consume``, and settles what is handled.

    Args:
        parameters: How to connect.
        stop: Once it is asked for, nothing more is received.
    """

    def __init__(self, parameters: pika.URLParameters, *, stop: Stop) -> None:
        self._parameters = parameters
        self._stop = stop

    def consume(self, receiver: Receiver, *, prefetch_count: int) -> None:
        """Hand each delivery to *receiver* until a stop is asked for; reconnect as often as needed.

        What is in hand then is settled, unless the stop is hurried. RabbitMQ delivers the rest
        again, to others.

        Args:
            receiver: Takes deliveries. Its methods are called in this thread.
            prefetch_count: How many deliveries may be in hand at once, at least 1.

        Raises:
            Exception: Whatever the receiver did not expect: a bug, so the process shall end.
        """
        patiently = until_stopped(self._stop.asked, AMQPError, OSError)
        while not self._stop.asked.is_set():
            with suppress(AMQPError, OSError):  # raised only when a stop is asked for
                patiently(self._try_to_consume, receiver, prefetch_count)
            self._stop.asked.wait(_REOPEN_AFTER_S)

    def _try_to_consume(self, receiver: Receiver, prefetch_count: int) -> None:
        try:
            self._consume(receiver, prefetch_count)
        except (AMQPError, OSError) as exc:
            receiver.note_trouble(explain(exc, at=QUEUE))
            raise

    def _consume(self, receiver: Receiver, prefetch_count: int) -> None:
        """Consume over one connection; an error before it consumes is the caller's."""
        with _opened(self._parameters) as connection:
            consumption = _Consumption(connection, receiver, self._stop)
            consumption.begin(prefetch_count)
            receiver.note_trouble("")
            try:
                consumption.serve()
            except (AMQPError, OSError) as exc:
                log.warning("the connection to RabbitMQ was lost", error=repr(exc))
                receiver.note_trouble(explain(exc, at=QUEUE))
            else:
                receiver.note_trouble("it has stopped consuming")


class _Consumption:
    """What is consumed over one connection. A delivery tag means nothing to the next one."""

    def __init__(self, connection: pika.BlockingConnection, receiver: Receiver, stop: Stop) -> None:
        self._connection = connection
        self._receiver = receiver
        self._stop = stop
        self._channel = connection.channel()
        self._unsettled: set[int] = set()
        self._is_cancelled = False
        self._delivered = 0
        self._next_look_s = time.monotonic() + _LOOK_EVERY_S
        self._passed_over: int | None = None

    def begin(self, prefetch_count: int) -> None:
        declare(self._channel)
        self._channel.basic_qos(prefetch_count=prefetch_count)
        self._channel.add_on_cancel_callback(self._on_cancel)
        self._channel.basic_consume(QUEUE, self._on_delivery)
        log.info("consuming", queue=QUEUE)

    def serve(self) -> None:
        """Serve the connection until a stop or RabbitMQ ends it and all deliveries are settled."""
        while not (self._stop.asked.is_set() or self._is_cancelled or self._is_forgotten()):
            self._connection.process_data_events(time_limit=_TICK_S)
            self._receiver.beat()
        self._receiver.cancel_waiting()  # for others, or for the next connection
        while self._unsettled and not self._stop.hurried.is_set():
            self._connection.process_data_events(time_limit=_TICK_S)

    def _on_cancel(self, _frame: object) -> None:
        # The queue was deleted; the next connection declares it again.
        log.warning("RabbitMQ cancelled this consumer")
        self._is_cancelled = True

    def _is_forgotten(self) -> bool:
        """Return whether messages wait and none is delivered, although nothing is in hand.

        RabbitMQ does not report that a queue was deleted and declared again at the same moment
        (seen with 3.10.8). The consumer would wait for messages of the old queue for ever.
        """
        now_s = time.monotonic()
        if self._unsettled or now_s < self._next_look_s:
            return False
        self._next_look_s = now_s + _LOOK_EVERY_S
        before = self._passed_over
        declared = self._channel.queue_declare(QUEUE, passive=True)
        self._passed_over = self._delivered if declared.method.message_count else None
        # A message that was on its way at one check has been delivered by the next.
        if self._passed_over is None or self._passed_over != before:
            return False
        log.warning("messages are waiting, but none is delivered: subscribing again")
        return True

    def _on_delivery(
        self,
        _channel: BlockingChannel,
        method: Basic.Deliver,
        _properties: BasicProperties,
        body: bytes,
    ) -> None:
        # Consuming was not cancelled, since a frozen broker would not reply: closing requeues it.
        if self._stop.asked.is_set():
            return
        # Every delivery carries a tag; only the stubs think otherwise.
        tag = cast(int, method.delivery_tag)
        self._delivered += 1
        self._unsettled.add(tag)
        handled = self._receiver.take(body)
        handled.add_done_callback(lambda handled: self._settle_from_lane(tag, handled))

    def _settle_from_lane(self, tag: int, handled: Handled) -> None:
        try:
            self._connection.add_callback_threadsafe(lambda: self._settle(tag, handled))
        except AMQPError:
            log.info("not acked: the connection was lost, so RabbitMQ delivers the message again")

    def _settle(self, tag: int, handled: Handled) -> None:
        self._unsettled.discard(tag)
        if handled.cancelled():
            return
        match handled.result():
            case Disposition.ACK:
                self._channel.basic_ack(tag)
            case Disposition.REQUEUE:
                self._channel.basic_nack(tag, requeue=True)
            case Disposition.DEAD_LETTER:
                self._channel.basic_nack(tag, requeue=False)


@contextmanager
def _opened(parameters: pika.URLParameters) -> Iterator[pika.BlockingConnection]:
    """Open a connection, and wait only a moment for its end.

    A frozen broker never confirms closing; pika itself would wait until heartbeats fail.
    """
    connection = connect(parameters)
    try:
        yield connection
    finally:
        closing = threading.Thread(target=_close, args=(connection,), daemon=True)
        closing.start()
        closing.join(_CLOSE_WITHIN_S)


def _close(connection: pika.BlockingConnection) -> None:
    with suppress(AMQPError, OSError):  # it is gone already
        connection.close()
