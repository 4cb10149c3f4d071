"""What RabbitMQ refuses: the kind of refusal, and the command that helps."""

import pytest
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosedByBroker,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from common.rabbitmq.trouble import Kind, explain, kind_of

# In the words of RabbitMQ 3.10.8, unless another version is named.
OTHER_QUEUE = ChannelClosedByBroker(
    406,
    "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'darkroom.classify' "
    "in vhost 'images': received the value 'darkroom.dead' of type 'longstr' but current is none",
)
OTHER_EXCHANGE = ChannelClosedByBroker(
    406,
    "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'darkroom' in vhost 'images': "
    "received 'direct' but current is 'fanout'",
)
LOCKED = ChannelClosedByBroker(
    405,
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'darkroom.classify' in "
    "vhost 'images'. It could be originally declared on another connection",
)
NO_RIGHT = ChannelClosedByBroker(
    403, "ACCESS_REFUSED - access to queue 'darkroom.dead' in vhost 'images' refused for user 'me'"
)
FULL_VHOST = ChannelClosedByBroker(
    406,
    "PRECONDITION_FAILED - cannot declare queue 'darkroom.classify' in vhost 'images': "
    "queue limit in vhost 'images' (1) is reached",
)
NO_PROCESS = ConnectionClosedByBroker(541, "INTERNAL_ERROR")
CLASSIC_DOWN = ChannelClosedByBroker(
    404,
    "NOT_FOUND - home node 'rabbit@a' of durable queue 'darkroom.classify' in vhost 'images' is "
    "down or inaccessible",
)
CLASSIC_STOPPED = ChannelClosedByBroker(
    404,
    "NOT_FOUND - queue 'darkroom.classify' in vhost 'images' process is stopped by supervisor",
)
NO_QUEUE = ChannelClosedByBroker(404, "NOT_FOUND - no queue 'darkroom.classify' in vhost 'images'")


def refused_entry(kind: type[AMQPConnectionError], said: str) -> AMQPConnectionError:
    """Make the error of pika 1.3 for a connection that RabbitMQ closed while it was opened."""
    return kind(f"Client was disconnected at a connection stage: ({said!r},)")


BAD_LOGIN = refused_entry(
    ProbableAuthenticationError,
    "ConnectionClosedByBroker: (403) 'ACCESS_REFUSED - Login was refused using authentication "
    "mechanism PLAIN. For details see the broker logfile.'",
)
NO_VHOST = refused_entry(
    ProbableAccessDeniedError,
    "ConnectionClosedByBroker: (530) 'NOT_ALLOWED - vhost images not found'",
)
VHOST_REFUSED = refused_entry(
    ProbableAccessDeniedError,
    "ConnectionClosedByBroker: (530) \"NOT_ALLOWED - access to vhost 'images' refused for user "
    "'me'\"",
)
FULL_OF_CONNECTIONS = refused_entry(
    ProbableAccessDeniedError,
    "ConnectionClosedByBroker: (530) \"NOT_ALLOWED - access to vhost 'images' refused for user "
    "'me': connection limit (3) is reached\"",
)
VHOST_DOWN = refused_entry(
    ProbableAccessDeniedError,
    "ConnectionClosedByBroker: (541) \"INTERNAL_ERROR - access to vhost 'images' refused for user "
    "'me': vhost 'images' is down\"",
)
ENDED_WHILE_OPENING = refused_entry(
    ProbableAuthenticationError, "StreamLostError: ('Transport indicated EOF',)"
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OTHER_QUEUE, Kind.FOREIGN),
        (OTHER_EXCHANGE, Kind.FOREIGN),
        (LOCKED, Kind.FOREIGN),
        (NO_RIGHT, Kind.FORBIDDEN),
        (BAD_LOGIN, Kind.FORBIDDEN),
        (NO_VHOST, Kind.FORBIDDEN),
        (VHOST_REFUSED, Kind.FORBIDDEN),
        (FULL_VHOST, Kind.LIMITED),
        (FULL_OF_CONNECTIONS, Kind.LIMITED),
        (NO_PROCESS, Kind.BROKEN),
        (CLASSIC_DOWN, Kind.BROKEN),
        (CLASSIC_STOPPED, Kind.BROKEN),
        (NO_QUEUE, Kind.MISSING),
        (VHOST_DOWN, Kind.OUTAGE),
        (ENDED_WHILE_OPENING, Kind.OUTAGE),
        (ConnectionClosedByBroker(320, "CONNECTION_FORCED - shutdown"), Kind.OUTAGE),
        (StreamLostError("reset"), Kind.OUTAGE),
        (AMQPConnectionError("refused"), Kind.OUTAGE),
        (ConnectionRefusedError(), Kind.OUTAGE),
    ],
)
def test_each_refusal_is_of_one_kind(error: Exception, kind: Kind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OTHER_QUEUE, "rabbitmqctl -p images delete_queue darkroom.classify"),
        (OTHER_QUEUE, "another virtual host in DARKROOM_AMQP_URL"),
        (OTHER_EXCHANGE, "--vhost=images delete exchange name=darkroom"),
        (LOCKED, "delete_queue darkroom.classify"),
        (NO_RIGHT, "rabbitmqctl set_permissions -p images me '^darkroom' '^darkroom' '^darkroom'"),
        (ChannelClosedByBroker(403, "ACCESS_REFUSED"), "set_permissions -p VHOST USER"),
        (BAD_LOGIN, "user and password in DARKROOM_AMQP_URL"),
        (NO_VHOST, "rabbitmqctl add_vhost images"),
        (VHOST_REFUSED, "rabbitmqctl set_permissions -p images me '^darkroom'"),
        (FULL_VHOST, "list_vhost_limits"),
        (NO_PROCESS, "the courier replaces it"),
        (NO_QUEUE, "Darkroom declares it again"),
        (VHOST_DOWN, "vhost 'images' is down"),
        (AMQPConnectionError("refused"), "cannot be reached"),
        (ChannelClosedByBroker(406, "PRECONDITION_FAILED"), "other properties"),
    ],
)
def test_the_words_name_the_way_out(error: Exception, words: str) -> None:
    assert words in explain(error)


def test_the_queue_is_named_where_rabbitmq_does_not() -> None:
    assert "'darkroom.dead'" in explain(NO_PROCESS, at="darkroom.dead")


def test_the_words_are_one_line() -> None:
    error = ConnectionClosedByBroker(541, "INTERNAL_ERROR - {timeout,\n      {'a',\n b}}")

    assert "INTERNAL_ERROR - {timeout, {'a', b}}" in explain(error)
