"""A publisher that any thread may use and that never blocks a caller for long."""

import math
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import pika
import structlog
from pika.adapters.select_connection import SelectConnection
from pika.channel import Channel
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelClosedByClient,
    ConnectionClosedByClient,
)
from pika.frame import Method
from pika.spec import Basic, BasicProperties

from common.errors import BrokerUnavailableError
from common.messages import MESSAGE_TYPE, ClassifyMessage
from common.rabbitmq.topology import EXCHANGE, QUEUE, ROUTING_KEY, connect, declare
from common.rabbitmq.trouble import explain
from common.retries import until_stopped

log = structlog.stdlib.get_logger(__name__)

_REOPEN_AFTER_S: Final = 0.5
_CLOSE_WITHIN_S: Final = 1.0
# After a queue was replaced, a channel that was publishing to it may never get another confirm,
# although RabbitMQ is healthy (seen with 3.10.8).
_SILENT_AT_MOST_S: Final = 10.0
# How long a refusal counts: by then the courier knows whether the queue can be used.
_REFUSAL_COUNTS_S: Final = 15.0
_TO_NOBODY: Final = "probe"  # a routing key without a binding

_UNKNOWN: Final = "RabbitMQ has not answered yet"
_IN_ALARM: Final = (
    "RabbitMQ has an alarm and accepts no messages: give it memory or disk space "
    "(rabbitmqctl status names the alarm)"
)

_Confirm = Future[None]


class RabbitPublisher:
    """Publishes with confirms over one connection, which belongs to a thread of its own.

    pika's connections belong to one thread and need their heartbeats served, while uWSGI's
    request threads come and go; so they hand their messages over and wait for the confirm,
    at most *timeout_s*. While RabbitMQ is known not to accept messages (gone, silent or in
    alarm), callers are refused at once.
    """

    def __init__(self, parameters: pika.URLParameters, *, timeout_s: float) -> None:
        self._parameters = parameters
        self._timeout_s = timeout_s
        self._closing = threading.Event()
        self._session: _Session | None = None
        self._why_closed = _UNKNOWN
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether RabbitMQ accepts messages, as far as known."""
        session = self._session
        return session is not None and session.accepts

    @property
    def trouble(self) -> str:
        """Why a message sent now would not arrive, as far as known; empty if it would."""
        session = self._session
        return self._why_closed if session is None else session.trouble

    def publish(self, message: ClassifyMessage) -> None:
        """Send *message* as a persistent message and wait for the confirm.

        Raises:
            BrokerUnavailableError: Whether the message arrived is unknown.
        """
        session = self._session
        if session is None or not session.accepts:
            raise BrokerUnavailableError(self.trouble or "RabbitMQ accepts no messages now")
        confirm = session.send(message)
        try:
            confirm.result(self._timeout_s)
        except TimeoutError:
            session.is_silent = True
            session.end_if_silent_for(_SILENT_AT_MOST_S)
            raise BrokerUnavailableError(
                f"RabbitMQ did not confirm within {self._timeout_s} s"
            ) from None

    def close(self) -> None:
        """Close the connection and end the thread, without waiting for a frozen broker."""
        self._closing.set()
        if (session := self._session) is not None:
            session.close()
        self._thread.join(_CLOSE_WITHIN_S)

    def _run(self) -> None:
        patiently = until_stopped(self._closing, AMQPError, OSError)
        while not self._closing.is_set():
            try:
                with suppress(AMQPError, OSError):  # raised only when the publisher is closed
                    patiently(self._serve)
            except Exception:  # whatever it is: without this thread nothing is published
                log.exception("the connection to RabbitMQ failed; reconnecting")
            self._closing.wait(_REOPEN_AFTER_S)

    def _serve(self) -> None:
        """Serve one connection until it ends; an error before it is ready is the caller's."""
        try:
            self._declare_topology()
        except (AMQPError, OSError) as exc:
            self._close_over(explain(exc, at=QUEUE))
            raise
        session = self._session = _Session(self._parameters, trouble=self._why_closed)
        if self._closing.is_set():  # requested when there was no session to close
            session.close()
        try:
            session.run()
        finally:
            self._close_over(session.trouble)
            self._session = None

    def _declare_topology(self) -> None:
        with connect(self._parameters) as connection:
            declare(connection.channel())

    def _close_over(self, trouble: str) -> None:
        if trouble != self._why_closed:
            log.warning("cannot publish", reason=trouble)
        self._why_closed = trouble


class _Session:
    """One connection, from opening to end. Other threads only call ``send`` and ``close``."""

    def __init__(self, parameters: pika.URLParameters, *, trouble: str) -> None:
        self.is_silent = False  # a confirm is overdue: a frozen broker, or a dead network
        self._is_blocked = False  # RabbitMQ has a memory or disk alarm
        self._was_ready = False
        self._refused_s = -math.inf  # when RabbitMQ last refused a message, if none came after
        self._end = trouble  # of the last session, until there is news
        self._channel: Channel | None = None
        self._sent = 0
        self._unconfirmed: dict[int, tuple[str, _Confirm]] = {}
        self._connection = SelectConnection(
            parameters,
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_end,
            on_close_callback=self._on_end,
        )

    @property
    def accepts(self) -> bool:
        return self._channel is not None and not self._is_blocked and not self.is_silent

    @property
    def trouble(self) -> str:
        """Why a message sent now would not arrive; empty if it would."""
        if self._is_blocked:
            return _IN_ALARM
        if self._channel is None:
            return self._end
        if self.is_silent:
            return "RabbitMQ does not confirm messages"
        if time.monotonic() - self._refused_s < _REFUSAL_COUNTS_S:
            return f"RabbitMQ refused the last message: the queue {QUEUE!r} is broken or full"
        return ""

    def run(self) -> None:
        """Serve the connection until it ends.

        Raises:
            AMQPConnectionError: It was never ready to publish.
        """
        try:
            self._connection.ioloop.start()
        finally:
            self._connection.ioloop.close()
        if not self._was_ready:
            raise AMQPConnectionError(self._end)

    def send(self, message: ClassifyMessage) -> _Confirm:
        """Publish *message*; the future ends with its confirm. Safe from any thread."""
        confirm: _Confirm = Future()
        self._connection.ioloop.add_callback_threadsafe(lambda: self._publish(message, confirm))
        return confirm

    def end_if_silent_for(self, seconds: float) -> None:
        """Close the connection if no confirm comes for so long. Safe from any thread."""
        ioloop = self._connection.ioloop
        ioloop.add_callback_threadsafe(lambda: ioloop.call_later(seconds, self._end_if_silent))

    def close(self) -> None:
        """Close the connection. Safe from any thread."""
        self._connection.ioloop.add_callback_threadsafe(self._close)

    def _publish(self, message: ClassifyMessage, confirm: _Confirm) -> None:
        if self._channel is None:
            confirm.set_exception(BrokerUnavailableError("the connection to RabbitMQ was lost"))
            return
        self._sent += 1
        self._unconfirmed[self._sent] = (message.id, confirm)
        self._channel.basic_publish(
            exchange=EXCHANGE,
            routing_key=ROUTING_KEY,
            body=message.encode(),
            properties=BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent.value,
                message_id=message.id,
                type=MESSAGE_TYPE,
            ),
            mandatory=True,  # without it an unroutable message vanishes silently
        )

    def _on_open(self, connection: SelectConnection) -> None:
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(self._on_unblocked)
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Channel) -> None:
        channel.add_on_close_callback(lambda _channel, reason: self._on_channel_closed(reason))
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirm, callback=lambda _ok: self._probe(channel))

    def _probe(self, channel: Channel) -> None:
        """Publish without a binding: the confirm shows that we may publish; declaring does not."""
        confirm: _Confirm = Future()
        confirm.add_done_callback(lambda done: self._ready(channel, done))
        self._sent += 1
        self._unconfirmed[self._sent] = ("", confirm)
        channel.basic_publish(EXCHANGE, _TO_NOBODY, b"")

    def _ready(self, channel: Channel, probed: _Confirm) -> None:
        if probed.exception() is None:
            self._channel = channel
            self._was_ready = True
            log.info("publishing to RabbitMQ")

    def _on_confirm(self, frame: Method[Basic.Ack | Basic.Nack]) -> None:
        self.is_silent = False
        is_ack = isinstance(frame.method, Basic.Ack)
        self._refused_s = -math.inf if is_ack else time.monotonic()
        last = frame.method.delivery_tag
        tags = (
            [tag for tag in self._unconfirmed if tag <= last] if frame.method.multiple else [last]
        )
        for tag in tags:
            _, confirm = self._unconfirmed.pop(tag)
            if confirm.done():  # returned as unroutable, and confirmed nevertheless
                continue
            if is_ack:
                confirm.set_result(None)
            else:
                confirm.set_exception(BrokerUnavailableError("RabbitMQ refused the message"))

    def _on_return(
        self, _channel: Channel, method: Basic.Return, properties: BasicProperties, _body: bytes
    ) -> None:
        log.warning("the queue is missing", reply=method.reply_text)
        self._end = f"the queue {QUEUE!r} is missing; it is declared again"
        for message_id, confirm in self._unconfirmed.values():
            if message_id == properties.message_id and not confirm.done():
                confirm.set_exception(BrokerUnavailableError("the queue is missing"))
        self._close()  # the next connection declares the queue again

    def _on_blocked(self, _connection: SelectConnection, _frame: object) -> None:
        log.warning("RabbitMQ accepts no messages: it has an alarm")
        self._is_blocked = True
        self._refuse_unconfirmed("RabbitMQ has an alarm and accepts no messages")

    def _on_unblocked(self, _connection: SelectConnection, _frame: object) -> None:
        log.info("RabbitMQ accepts messages again")
        self._is_blocked = False

    def _on_channel_closed(self, reason: Exception) -> None:
        if not isinstance(reason, ChannelClosedByClient):
            log.warning("RabbitMQ closed the channel", reason=repr(reason))
            self._end = explain(reason, at=QUEUE)
        self._close()

    def _on_end(self, _connection: SelectConnection, reason: BaseException) -> None:
        log.info("the connection to RabbitMQ ended", reason=str(reason))
        if not isinstance(reason, ConnectionClosedByClient):  # else the reason is known already
            self._end = explain(reason, at=QUEUE)
        self._channel, self._is_blocked = None, False
        self._refuse_unconfirmed("the connection to RabbitMQ was lost")
        self._connection.ioloop.stop()

    def _refuse_unconfirmed(self, reason: str) -> None:
        for _, confirm in self._unconfirmed.values():
            if not confirm.done():
                confirm.set_exception(BrokerUnavailableError(reason))

    def _end_if_silent(self) -> None:
        if self.is_silent and not self._is_blocked:
            log.warning("a confirm from RabbitMQ is overdue; reconnecting")
            self._end = "RabbitMQ does not confirm messages"
            self._close()

    def _close(self) -> None:
        self._channel = None
        if not (self._connection.is_closing or self._connection.is_closed):
            self._connection.close()
