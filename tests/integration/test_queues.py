"""The courier's view of the queues on a real RabbitMQ."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import takewhile
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from common.errors import BrokerUnavailableError
from common.ports.queues import DeadLetter, QueueDepth
from common.rabbitmq.queues import RabbitQueues
from common.rabbitmq.topology import (
    DEAD_QUEUE,
    EXCHANGE,
    QUEUE,
    ROUTING_KEY,
    declare,
    parameters,
)
from testbed.broker import Broker
from testbed.waiting import wait_for

_EMPTY = QueueDepth(0)
_NEW = QueueDepth(0, is_new=True)
# Tests call rabbitmqctl between two calls; on a busy machine that takes many seconds.
_HEARTBEAT_S = 60
_PATIENCE_S = 1.0
_SHORT_HEARTBEAT_S = 2
# Far more than some heartbeats, far less than TCP takes to give up.
_HANGS_AFTER_S = 60.0
_PERSISTENT = pika.BasicProperties(delivery_mode=2)


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        opened = connection.channel()
        declare(opened)
        opened.confirm_delivery()
        yield opened


@contextmanager
def watched(
    url: str, *, heartbeat_s: int = _HEARTBEAT_S, patience_s: float = _PATIENCE_S
) -> Iterator[RabbitQueues]:
    described = parameters(url, heartbeat_s=heartbeat_s, name="test")
    with closing(RabbitQueues(described, patience_s=patience_s)) as opened:
        yield opened


@pytest.fixture
def queues(amqp_url: str) -> Iterator[RabbitQueues]:
    with watched(amqp_url) as opened:
        yield opened


def publish(opened: BlockingChannel, body: bytes = b"a message") -> None:
    opened.basic_publish(EXCHANGE, ROUTING_KEY, body, _PERSISTENT, mandatory=True)


def taken(queues: RabbitQueues) -> DeadLetter | None:
    with queues.dead_letter() as letter:
        return letter


def taken_in_time(queues: RabbitQueues) -> DeadLetter:
    letters: list[DeadLetter] = []

    def one_came() -> bool:
        letters.extend(filter(None, [taken(queues)]))
        return bool(letters)

    wait_for(one_came, what="a dead letter comes")
    return letters[0]


def test_a_missing_queue_is_told_once_and_declared(queues: RabbitQueues, amqp_url: str) -> None:
    assert queues.depth() == _NEW
    assert queues.depth() == _EMPTY

    with channel(amqp_url) as opened:
        opened.queue_delete(QUEUE)
    assert queues.depth() == _NEW
    assert queues.depth() == _EMPTY


def test_a_look_tells_whether_a_message_is_ready(queues: RabbitQueues, amqp_url: str) -> None:
    with channel(amqp_url) as opened:
        assert queues.depth() == _EMPTY

        publish(opened)
        wait_for(lambda: queues.depth() == QueueDepth(1), what="the message is seen")

        opened.basic_get(QUEUE)
        wait_for(lambda: queues.depth() == _EMPTY, what="it is in a consumer's hand")


def test_without_a_dead_letter_there_is_none_and_without_its_queue_neither(
    queues: RabbitQueues, amqp_url: str
) -> None:
    assert taken(queues) is None
    with channel(amqp_url) as opened:
        opened.queue_delete(DEAD_QUEUE)

    assert taken(queues) is None
    assert taken(queues) is None


def test_a_rejected_message_is_a_dead_letter_once(queues: RabbitQueues, amqp_url: str) -> None:
    with channel(amqp_url) as opened:
        publish(opened, b"rubbish")
        method, _, _ = opened.basic_get(QUEUE)
        assert method is not None
        opened.basic_reject(method.delivery_tag or 0, requeue=False)

    assert taken_in_time(queues) == DeadLetter(b"rubbish", "rejected")
    assert taken(queues) is None


def test_a_message_over_the_delivery_limit_says_so(
    queues: RabbitQueues, amqp_url: str, rabbitmq: Broker
) -> None:
    with channel(amqp_url) as opened, rabbitmq.policy(amqp_url, {"delivery-limit": 1}):
        publish(opened)

        def is_dead() -> bool:
            method, _, _ = opened.basic_get(QUEUE)
            if method is not None:
                opened.basic_nack(method.delivery_tag or 0, requeue=True)
            return method is None

        wait_for(is_dead, what="the message dies")

    assert taken_in_time(queues).reason == "delivery_limit"


@pytest.mark.parametrize(
    ("policy", "reason"), [({"message-ttl": 50}, "expired"), ({"max-length": 1}, "maxlen")]
)
def test_what_a_policy_throws_out_says_so(
    queues: RabbitQueues,
    amqp_url: str,
    rabbitmq: Broker,
    policy: dict[str, int],
    reason: str,
) -> None:
    with channel(amqp_url) as opened, rabbitmq.policy(amqp_url, policy):
        publish(opened)
        publish(opened)

        assert taken_in_time(queues).reason == reason


@pytest.mark.parametrize("headers", [None, {}, {"x-death": "by hand"}, {"x-death": [{}]}])
def test_a_message_that_somebody_put_there_has_no_reason(
    queues: RabbitQueues, amqp_url: str, headers: dict[str, Any] | None
) -> None:
    with channel(amqp_url) as opened:
        properties = pika.BasicProperties(headers=headers)
        opened.basic_publish("", DEAD_QUEUE, b"hello", properties, mandatory=True)

    assert taken_in_time(queues) == DeadLetter(b"hello", None)


def test_a_dead_letter_that_could_not_be_settled_stays(queues: RabbitQueues, amqp_url: str) -> None:
    with channel(amqp_url) as opened:
        opened.basic_publish("", DEAD_QUEUE, b"hello", mandatory=True)
    wait_for(lambda: fails_with(queues, b"hello"), what="the letter comes")

    for _ in range(3):
        wait_for(lambda: fails_with(queues, b"hello"), what="the letter comes again")

    assert taken_in_time(queues).body == b"hello"
    assert taken(queues) is None


def fails_with(queues: RabbitQueues, body: bytes) -> bool:
    try:
        with queues.dead_letter() as letter:
            assert letter is not None
            assert letter.body != body
    except AssertionError:
        return letter is not None
    return False


def test_a_stopped_broker_is_told_and_found_again(rabbitmq: Broker) -> None:
    with watched(rabbitmq.empty_vhost()) as queues:
        queues.depth()
        rabbitmq.stop()
        for _ in range(2):
            with pytest.raises(BrokerUnavailableError):
                queues.depth()

        rabbitmq.start()

        wait_for(lambda: answers(queues), what="it answers again")


def test_a_frozen_broker_holds_up_a_look_only_for_some_heartbeats(rabbitmq: Broker) -> None:
    with watched(rabbitmq.empty_vhost(), heartbeat_s=_SHORT_HEARTBEAT_S) as queues:
        queues.depth()
        rabbitmq.freeze()
        for _ in range(2):
            started_s = time.monotonic()
            with pytest.raises(BrokerUnavailableError):
                queues.depth()
            assert time.monotonic() - started_s < _HANGS_AFTER_S

        rabbitmq.thaw()

        wait_for(lambda: answers(queues), what="it answers again")


def answers(queues: RabbitQueues) -> bool:
    try:
        return queues.depth() == _EMPTY
    except BrokerUnavailableError:
        return False


def depths(queues: RabbitQueues) -> Iterator[QueueDepth | str]:
    """Ask repeatedly; return RabbitMQ's refusals as text."""
    while True:
        try:
            yield queues.depth()
        except BrokerUnavailableError as exc:
            yield str(exc)


def test_a_queue_that_rabbitmq_cannot_use_is_replaced(
    queues: RabbitQueues, rabbitmq: Broker, amqp_url: str
) -> None:
    queues.depth()
    with channel(amqp_url) as opened:
        publish(opened)
        rabbitmq.break_queue(amqp_url, QUEUE)

    refused = list(takewhile(lambda seen: seen != _NEW, depths(queues)))

    assert len(refused) > 1  # one refusal proves nothing
    assert all(f"{QUEUE!r} and cannot use it" in str(words) for words in refused)
    assert queues.trouble == ""
    assert queues.depth() == _EMPTY
    with channel(amqp_url) as opened:
        publish(opened)
    assert queues.depth() == QueueDepth(1)


def test_a_queue_that_is_usable_again_in_time_is_not_replaced(
    rabbitmq: Broker, amqp_url: str
) -> None:
    with watched(amqp_url, patience_s=600) as queues, channel(amqp_url) as opened:
        assert queues.depth() == _EMPTY
        rabbitmq.stop_queue(amqp_url, QUEUE)
        for _ in range(3):
            with pytest.raises(BrokerUnavailableError, match="cannot use it"):
                queues.depth()
        assert "cannot use it" in queues.trouble

        rabbitmq.start_queue(amqp_url, QUEUE)

        wait_for(lambda: answers(queues), what="the queue is found again")
        assert queues.trouble == ""
        assert opened.is_open


def test_a_dead_letter_queue_that_rabbitmq_cannot_use_is_replaced(
    queues: RabbitQueues, rabbitmq: Broker, amqp_url: str
) -> None:
    queues.depth()
    rabbitmq.break_queue(amqp_url, DEAD_QUEUE)
    with pytest.raises(BrokerUnavailableError, match=f"{DEAD_QUEUE!r} and cannot use it"):
        taken(queues)
    assert DEAD_QUEUE in queues.trouble

    def is_replaced() -> bool:
        with suppress(BrokerUnavailableError):
            return taken(queues) is None
        return False

    wait_for(is_replaced, what="it is replaced")

    assert queues.trouble == ""
    with channel(amqp_url) as opened:
        publish(opened)
        method, _, _ = opened.basic_get(QUEUE)
        assert method is not None
        opened.basic_reject(method.delivery_tag or 0, requeue=False)
    assert taken_in_time(queues).body == b"a message"


@pytest.mark.parametrize("name", [QUEUE, DEAD_QUEUE])
def test_a_queue_that_is_somebody_elses_is_named_and_left_alone(
    queues: RabbitQueues, amqp_url: str, name: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        theirs = connection.channel()
        theirs.queue_declare(name, durable=True)
        theirs.basic_publish("", name, b"theirs", _PERSISTENT)

        for _ in range(3):
            with pytest.raises(BrokerUnavailableError, match=f"delete_queue {name}"):
                queues.depth()

        assert theirs.queue_declare(name, passive=True).method.message_count == 1


def test_a_queue_of_somebody_else_that_is_broken_is_left_alone(
    queues: RabbitQueues, rabbitmq: Broker, amqp_url: str
) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        theirs = connection.channel()
        theirs.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        rabbitmq.break_queue(amqp_url, QUEUE)

        refused = list(takewhile(lambda seen: "delete_queue" not in str(seen), depths(queues)))

        assert _NEW not in refused
        theirs.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})


def test_a_queue_that_was_exchanged_behind_our_back_is_noticed(
    queues: RabbitQueues, amqp_url: str
) -> None:
    with channel(amqp_url) as opened:
        queues.depth()
        opened.queue_delete(DEAD_QUEUE)
        opened.queue_declare(DEAD_QUEUE, durable=True)

    found = next(seen for seen in depths(queues) if isinstance(seen, str))

    assert f"delete_queue {DEAD_QUEUE}" in found
