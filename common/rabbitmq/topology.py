"""The exchanges and queues, and the connection to RabbitMQ.

It only uses what both RabbitMQ 3.10 and 4.x have.
"""

from typing import Any, Final

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPConnectionError

EXCHANGE: Final = "darkroom"
QUEUE: Final = "darkroom.classify"
ROUTING_KEY: Final = "classify"
DEAD_EXCHANGE: Final = "darkroom.dead"
DEAD_QUEUE: Final = "darkroom.dead"

# Attempts are counted in the job's record: brokers differ in what they count, and from 4.0
# on a queue that declares no limit has one of 20. Ours only ends an endless loop.
_DELIVERY_LIMIT: Final = 10_000

# Opening must not hang if the broker is frozen or behind a silent network.
_OPEN_TIMEOUT_S: Final = 5


def parameters(url: str, *, heartbeat_s: int, name: str) -> pika.URLParameters:
    """Describe a connection; *name* is what the management UI shows for it."""
    described = pika.URLParameters(url)
    described.heartbeat = heartbeat_s
    described.socket_timeout = _OPEN_TIMEOUT_S
    described.stack_timeout = _OPEN_TIMEOUT_S
    # A heartbeat leaves every half interval. If a network drops all without a word, the kernel
    # gives up by two intervals; pika itself would need two intervals and ten seconds.
    described.tcp_options = {"TCP_USER_TIMEOUT": heartbeat_s * 1250}  # milliseconds
    described.blocked_connection_timeout = None  # an alarm is waited out
    described.client_properties = {"connection_name": f"darkroom {name}"}
    return described


def connect(parameters: pika.URLParameters) -> pika.BlockingConnection:
    """Open a connection for the calling thread.

    Raises:
        AMQPError: It could not be opened, whatever the reason.
    """
    try:
        return pika.BlockingConnection(parameters)
    except AMQPConnectorException as exc:  # a frozen broker's; pika has it apart from its others
        raise AMQPConnectionError(repr(exc)) from exc


def declare(channel: BlockingChannel) -> None:
    """Declare exchanges, queues and bindings; harmless where they are there already."""
    channel.exchange_declare(DEAD_EXCHANGE, exchange_type="direct", durable=True)
    _declare_quorum_queue(channel, DEAD_QUEUE)
    channel.queue_bind(DEAD_QUEUE, DEAD_EXCHANGE, routing_key=ROUTING_KEY)
    channel.exchange_declare(EXCHANGE, exchange_type="direct", durable=True)
    _declare_quorum_queue(
        channel,
        QUEUE,
        {"x-dead-letter-exchange": DEAD_EXCHANGE, "x-delivery-limit": _DELIVERY_LIMIT},
    )
    channel.queue_bind(QUEUE, EXCHANGE, routing_key=ROUTING_KEY)


def _declare_quorum_queue(
    channel: BlockingChannel, name: str, arguments: dict[str, Any] | None = None
) -> None:
    # Quorum queues behave the same on one node and on three, and lose nothing confirmed.
    channel.queue_declare(
        name, durable=True, arguments={"x-queue-type": "quorum"} | (arguments or {})
    )
