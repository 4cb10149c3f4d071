"""Deliveries in, acks out: the pika adapter, which decides nothing."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import cast

import pika
import structlog
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

from common.rabbitmq.topology import QUEUE, declare
from common.retries import until_stopped
from common.stopping import Stop
from consumer.handler import Disposition

log = structlog.stdlib.get_logger(__name__)

_TICK_S = 0.5

Handle = Callable[[bytes], Disposition]


class Worker:
    """Consumes the queue over one connection, whose thread is the caller's of ``run``.

    Deliveries are handled in the lane, a thread of their own, so that heartbeats flow
    during any inference.
    """

    def __init__(
        self,
        parameters: pika.URLParameters,
        handle: Handle,
        *,
        lane: Executor,
        stop: Stop,
    ) -> None:
        self._parameters = parameters
        self._handle = handle
        self._lane = lane
        self._stop = stop

    def run(self, *, prefetch_count: int, grace_s: float) -> None:
        """Consume until a stop is asked for; reconnect as often as needed.

        What is in hand then is finished and acked within *grace_s*, unless the stop is
        hurried. What is not, the broker delivers again, to others.

        Raises:
            Exception: Whatever the handler did not expect: a bug, so the process shall end.
        """
        opening = until_stopped(self._stop.asked, AMQPError, OSError)
        while not self._stop.asked.is_set():
            try:
                with opening(pika.BlockingConnection, self._parameters) as connection:
                    consumption = _Consumption(connection, self._lane, self._handle)
                    consumption.run(self._stop.asked, prefetch_count)
                    consumption.finish(self._stop.hurried, grace_s)
            except (AMQPError, OSError) as exc:
                log.warning("the connection to RabbitMQ was lost", error=repr(exc))


class _Consumption:
    """What is consumed over one connection. A delivery tag means nothing to the next one."""

    def __init__(self, connection: pika.BlockingConnection, lane: Executor, handle: Handle) -> None:
        self._connection = connection
        self._lane = lane
        self._handle = handle
        self._channel = connection.channel()
        self._in_hand: set[int] = set()
        self._is_cancelled = False

    def run(self, stopping: threading.Event, prefetch_count: int) -> None:
        """Consume until *stopping* is set or RabbitMQ cancels."""
        declare(self._channel)
        self._channel.basic_qos(prefetch_count=prefetch_count)
        self._channel.add_on_cancel_callback(self._on_cancel)
        consumer_tag = self._channel.basic_consume(QUEUE, self._on_delivery)
        log.info("consuming", queue=QUEUE)
        while not (stopping.is_set() or self._is_cancelled):
            self._connection.process_data_events(time_limit=_TICK_S)
        if not self._is_cancelled:
            self._channel.basic_cancel(consumer_tag)

    def finish(self, hurrying: threading.Event, grace_s: float) -> None:
        """Wait until what is in hand is settled."""
        deadline_s = time.monotonic() + grace_s
        while self._in_hand and not hurrying.is_set() and time.monotonic() < deadline_s:
            self._connection.process_data_events(time_limit=_TICK_S)

    def _on_cancel(self, _frame: object) -> None:
        # The queue was deleted; the next connection declares it again.
        log.warning("RabbitMQ cancelled this consumer")
        self._is_cancelled = True

    def _on_delivery(
        self,
        _channel: BlockingChannel,
        method: Basic.Deliver,
        _properties: BasicProperties,
        body: bytes,
    ) -> None:
        # Every delivery carries a tag; only the stubs think otherwise.
        tag = cast(int, method.delivery_tag)
        self._in_hand.add(tag)
        handled = self._lane.submit(self._handle, body)
        handled.add_done_callback(lambda handled: self._settle_from_lane(tag, handled))

    def _settle_from_lane(self, tag: int, handled: Future[Disposition]) -> None:
        try:
            self._connection.add_callback_threadsafe(lambda: self._settle(tag, handled))
        except AMQPError:
            log.info("not acked: the connection was lost, and the delivery comes again")

    def _settle(self, tag: int, handled: Future[Disposition]) -> None:
        self._in_hand.discard(tag)
        if handled.cancelled():
            return
        match handled.result():
            case Disposition.ACK:
                self._channel.basic_ack(tag)
            case Disposition.REQUEUE:
                self._channel.basic_nack(tag, requeue=True)
            case Disposition.DEAD_LETTER:
                self._channel.basic_nack(tag, requeue=False)
