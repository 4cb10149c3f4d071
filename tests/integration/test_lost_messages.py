"""Jobs whose messages are lost, on real servers: all of them end."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel

from common.mongo.connection import connect, open_database
from common.rabbitmq.topology import DEAD_QUEUE, EXCHANGE, QUEUE, ROUTING_KEY
from testbed.broker import Broker
from testbed.server import Server
from testbed.waiting import wait_for
from tests.integration.roles import ENDS_WITHIN_S, Roles

IMAGE = Path("models/digits/samples/7.png").read_bytes()
LEASE_S = 2
SETTINGS = {"DARKROOM_LEASE_S": str(LEASE_S), "DARKROOM_AMQP_HEARTBEAT_S": "2"}


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def waiting(system: Roles, count: int) -> list[str]:
    """Stop the consumer and submit images; return the locations of their jobs."""
    system.consumer.terminate()
    system.consumer.wait(ENDS_WITHIN_S)
    return [system.client.post_form(IMAGE).headers["Location"] for _ in range(count)]


def ended(system: Roles, locations: list[str]) -> list[str]:
    """Run a consumer; return how the jobs end."""
    with system.another_consumer():
        return [system.client.wait_for(location)["state"] for location in locations]


def depth(opened: BlockingChannel, queue: str) -> int:
    return opened.queue_declare(queue, passive=True).method.message_count


def wait_for_depth(opened: BlockingChannel, count: int) -> None:
    wait_for(lambda: depth(opened, QUEUE) == count, what=f"{count} messages wait")


def taken(opened: BlockingChannel) -> int:
    """Get a message once there is one; return its delivery tag."""
    tags: list[int] = []

    def one_came() -> bool:
        method, _, _ = opened.basic_get(QUEUE)
        if method is not None:
            tags.append(method.delivery_tag or 0)
        return bool(tags)

    wait_for(one_came, what="a message is there")
    return tags[0]


def test_jobs_whose_messages_were_purged_all_end(system: Roles) -> None:
    locations = waiting(system, 12)
    with channel(system.amqp_url) as opened:
        wait_for_depth(opened, 12)
        opened.queue_purge(QUEUE)

    assert ended(system, locations) == ["done"] * 12


def test_jobs_whose_messages_were_taken_out_of_the_middle_all_end(system: Roles) -> None:
    locations = waiting(system, 12)
    with channel(system.amqp_url) as opened:
        wait_for_depth(opened, 12)
        tags = [taken(opened) for _ in range(8)]
        for tag in tags[4:]:
            opened.basic_ack(tag)

    assert ended(system, locations) == ["done"] * 12


def test_jobs_whose_queue_was_deleted_all_end(system: Roles, rabbitmq: Broker) -> None:
    locations = waiting(system, 12)
    rabbitmq.delete_queues(system.amqp_url)

    assert ended(system, locations) == ["done"] * 12


def test_jobs_that_only_wait_are_never_published_again(system: Roles) -> None:
    waiting(system, 12)
    with channel(system.amqp_url) as opened:
        wait_for_depth(opened, 12)
        deadline_s = time.monotonic() + 3 * LEASE_S
        while time.monotonic() < deadline_s:
            assert depth(opened, QUEUE) == 12
            time.sleep(0.2)


def test_a_job_whose_message_was_rejected_fails_and_says_why(system: Roles) -> None:
    [location] = waiting(system, 1)
    with channel(system.amqp_url) as opened:
        opened.basic_reject(taken(opened), requeue=False)

    failed = system.client.wait_for(location)

    assert failed["state"] == "failed"
    assert failed["error"]["type"] == "urn:darkroom:problem:dead-lettered"
    assert "rejected" in failed["error"]["detail"]


def test_a_job_whose_message_was_delivered_too_often_is_done(
    system: Roles, rabbitmq: Broker
) -> None:
    [location] = waiting(system, 1)
    with (
        channel(system.amqp_url) as opened,
        rabbitmq.policy(system.amqp_url, {"delivery-limit": 1}),
    ):
        for _ in range(2):
            opened.basic_nack(taken(opened), requeue=True)

    assert ended(system, [location]) == ["done"]


def test_rubbish_goes_through_the_dead_letters_and_harms_nobody(system: Roles) -> None:
    with channel(system.amqp_url) as opened:
        for body in (b"", b"\xff" * 100_000, b'{"id": "\\ud800", "model": "m", "fence": 0}'):
            opened.basic_publish(EXCHANGE, ROUTING_KEY, body)
            opened.basic_publish("", DEAD_QUEUE, body)

        assert system.client.classify(IMAGE)["state"] == "done"
        wait_for(lambda: depth(opened, QUEUE) + depth(opened, DEAD_QUEUE) == 0)


def test_an_image_whose_job_was_never_recorded_is_deleted(system: Roles, mongo: Server) -> None:
    kept = system.client.classify(IMAGE)
    with connect(mongo.url, timeout_s=30) as client:
        images = open_database(client, system.database)["images"]
        # Soon old enough. What is much older, a courier that runs has passed already.
        stored_ms = int((time.time() - 595) * 1000)
        images.insert_one({"_id": "an orphan", "bytes": IMAGE, "stored_ms": stored_ms})
        images.insert_one({"_id": "a young one", "bytes": IMAGE, "stored_ms": stored_ms + 500_000})

        wait_for(lambda: images.find_one({"_id": "an orphan"}) is None, what="it is deleted")

        left = {image["_id"] for image in images.find()}
    assert left >= {"a young one", kept["id"]}


def test_a_frozen_broker_keeps_the_courier_neither_from_its_rescues_nor_from_its_end(
    system: Roles, rabbitmq: Broker, mongo: Server
) -> None:
    with connect(mongo.url, timeout_s=30) as client:
        [location] = waiting(system, 1)
        job_id = location.rpartition("/")[2]
        held = {"state": "processing", "owner": "nobody", "fence": 1, "attempts": 1}
        absent = {"waiting_ms": "", "publish_due_ms": ""}
        open_database(client, system.database)["jobs"].update_one(
            {"_id": job_id}, {"$set": held, "$unset": absent}
        )
        rabbitmq.freeze()

        wait_for(lambda: system.client.job(location)["state"] == "pending", what="it is rescued")

    system.courier.send_signal(signal.SIGTERM)
    assert system.courier.wait(ENDS_WITHIN_S) == 0
