"""The publisher on a real RabbitMQ, which stops, freezes and raises alarms."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from common.errors import BrokerUnavailableError
from common.jobs import JobId
from common.messages import ClassifyMessage
from common.rabbitmq.publisher import RabbitPublisher
from common.rabbitmq.topology import QUEUE, declare, parameters
from testbed.broker import Broker
from testbed.waiting import wait_for

# The issue of a request's thread: it must get away from a broker that says nothing, long before
# the connection's heartbeats do.
_HANGS_AFTER_S = 15.0
_HEARTBEAT_S = 30
# Time enough for a confirm on a busy machine, and for one that will not come.
_CONFIRM_S, _SHORT_CONFIRM_S = 30.0, 0.5


@contextmanager
def publishing(url: str, *, timeout_s: float = _CONFIRM_S) -> Iterator[RabbitPublisher]:
    described = parameters(url, heartbeat_s=_HEARTBEAT_S, name="test")
    with closing(RabbitPublisher(described, timeout_s=timeout_s)) as publisher:
        wait_for(lambda: publisher.is_open, what="the publisher opens")
        yield publisher


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def message(number: int = 0) -> ClassifyMessage:
    return ClassifyMessage(id=JobId(f"job-{number}"), model="digits", fence=number)


def test_a_published_message_lies_in_the_queue_and_survives_restarts(amqp_url: str) -> None:
    with publishing(amqp_url) as publisher:
        publisher.publish(message(3))

    with channel(amqp_url) as opened:
        _, properties, body = opened.basic_get(QUEUE, auto_ack=True)
    assert body is not None
    assert json.loads(body) == {"id": "job-3", "model": "digits", "fence": 3}
    assert properties is not None
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
    assert (properties.message_id, properties.type) == ("job-3", "classify.v1")


def test_a_publisher_goes_on_after_an_error_that_nobody_foresaw(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [KeyError(64)]

    def declare_once_more(opened: BlockingChannel) -> None:
        if errors:
            raise errors.pop()
        declare(opened)

    monkeypatch.setattr("common.rabbitmq.publisher.declare", declare_once_more)

    with publishing(amqp_url) as publisher:
        publisher.publish(message())

    assert not errors


def test_many_threads_publish_over_one_connection(amqp_url: str) -> None:
    with publishing(amqp_url) as publisher:

        def publish(start: int) -> None:
            for number in range(start, start + 25):
                publisher.publish(message(number))

        threads = [threading.Thread(target=publish, args=(start,)) for start in range(0, 200, 25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with channel(amqp_url) as opened:
        bodies = [opened.basic_get(QUEUE, auto_ack=True)[2] for _ in range(200)]
    fences = [json.loads(body)["fence"] for body in bodies if body is not None]
    assert sorted(fences) == list(range(200))


def test_the_queue_is_durable_and_of_the_quorum_kind(rabbitmq: Broker) -> None:
    url = rabbitmq.empty_vhost()
    with publishing(url):
        vhost = url.rpartition("/")[2]
        listed = rabbitmq.control(
            "-p", vhost, "list_queues", "--formatter", "json", "name", "type", "durable"
        )

    queues = {queue["name"]: queue for queue in json.loads(listed)}
    assert set(queues) == {"darkroom.classify", "darkroom.dead"}
    assert all(queue["durable"] for queue in queues.values())
    assert all("quorum" in str(queue["type"]) for queue in queues.values())


def test_a_stopped_broker_is_told_and_found_again_by_itself(rabbitmq: Broker) -> None:
    with publishing(rabbitmq.url) as publisher:
        rabbitmq.stop()
        wait_for(lambda: not publisher.is_open, what="the publisher notices")
        assert_refused(publisher)

        rabbitmq.start()

        wait_for(lambda: publisher.is_open, what="the publisher comes back")
        publisher.publish(message())


def test_a_frozen_broker_holds_up_one_publisher_only_for_its_time(rabbitmq: Broker) -> None:
    with publishing(rabbitmq.url, timeout_s=_SHORT_CONFIRM_S) as publisher:
        rabbitmq.freeze()
        assert_refused(publisher)
        assert not publisher.is_open

        rabbitmq.thaw()

        wait_for(lambda: publishes(publisher), what="the publisher comes back")


def test_a_broker_in_memory_alarm_is_told_and_used_again_after_it(rabbitmq: Broker) -> None:
    with publishing(rabbitmq.url, timeout_s=_SHORT_CONFIRM_S) as publisher:
        with rabbitmq.memory_alarm():
            assert_refused(publisher)
            assert not publisher.is_open

        wait_for(lambda: publishes(publisher), what="the publisher comes back")


def test_a_deleted_queue_is_told_and_declared_again(amqp_url: str) -> None:
    with publishing(amqp_url) as publisher:
        with channel(amqp_url) as opened:
            opened.queue_delete(QUEUE)
        with pytest.raises(BrokerUnavailableError, match="the queue is missing"):
            publisher.publish(message())

        wait_for(lambda: publisher.is_open, what="the publisher comes back")
        publisher.publish(message(1))

    with channel(amqp_url) as opened:
        _, properties, _ = opened.basic_get(QUEUE, auto_ack=True)
    assert properties is not None
    assert properties.message_id == "job-1"


def publishes(publisher: RabbitPublisher) -> bool:
    try:
        publisher.publish(message())
    except BrokerUnavailableError:
        return False
    return True


def assert_refused(publisher: RabbitPublisher) -> None:
    started_s = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        publisher.publish(message())
    assert time.monotonic() - started_s < _HANGS_AFTER_S


def test_a_queue_that_refuses_a_message_is_told_until_one_is_confirmed(rabbitmq: Broker) -> None:
    url = rabbitmq.empty_vhost()
    with publishing(url) as publisher:
        assert publisher.trouble == ""
        rabbitmq.stop_queue(url, QUEUE)
        assert_refused(publisher)
        assert QUEUE in publisher.trouble

        rabbitmq.start_queue(url, QUEUE)

        wait_for(lambda: publishes(publisher), what="it publishes")
        assert publisher.trouble == ""


def test_a_queue_that_broke_with_a_message_on_its_way_is_published_to_again(
    rabbitmq: Broker,
) -> None:
    url = rabbitmq.empty_vhost()
    with publishing(url, timeout_s=_SHORT_CONFIRM_S) as publisher:
        # A message is on its way into the queue when that breaks and is replaced.
        rabbitmq.suspend_queue(url, QUEUE)
        assert_refused(publisher)
        rabbitmq.break_queue(url, QUEUE)
        rabbitmq.delete_queues(url)
        with channel(url) as opened:
            declare(opened)
        assert not publisher.is_open

        wait_for(lambda: publishes(publisher), within_s=90, what="it publishes again")
