"""What becomes of jobs whose messages are lost, on real servers: all of them end."""

import json
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from common.mongo.connection import connect, open_database
from common.rabbitmq.topology import DEAD_QUEUE, EXCHANGE, QUEUE, ROUTING_KEY
from tests.integration.roles import Roles, running_roles
from tests.servers import Broker
from tests.waiting import wait_for

IMAGE = Path("models/digits/samples/7.png").read_bytes()
LEASE_S = 2


@pytest.fixture
def database() -> str:
    return f"lost-{uuid.uuid4().hex}"


@pytest.fixture
def amqp_url(rabbitmq: Broker) -> str:
    return rabbitmq.empty_vhost()


@pytest.fixture
def system(amqp_url: str, mongo_url: str, database: str, tmp_path: Path) -> Iterator[Roles]:
    with running_roles(
        tmp_path,
        amqp_url=amqp_url,
        mongo_url=mongo_url,
        DARKROOM_MONGO_DATABASE=database,
        DARKROOM_LEASE_S=str(LEASE_S),
        DARKROOM_AMQP_HEARTBEAT_S="2",
    ) as roles:
        yield roles


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        yield connection.channel()


def waiting(system: Roles, count: int) -> list[str]:
    """Stop the consumer, hand in images, and say where their jobs are."""
    system.consumer.terminate()
    system.consumer.wait(15)
    return [system.client.post_form(IMAGE).headers["Location"] for _ in range(count)]


def ended(system: Roles, locations: list[str]) -> list[str]:
    """Run a consumer, and tell how the jobs end."""
    with system.another_consumer():
        return [system.client.wait_for(location, patience_s=60)["state"] for location in locations]


def job_at(system: Roles, location: str) -> dict[str, Any]:
    job: dict[str, Any] = requests.get(system.client.url + location, timeout=30).json()
    return job


def depth(opened: BlockingChannel, queue: str) -> int:
    return opened.queue_declare(queue, passive=True).method.message_count


def wait_for_depth(opened: BlockingChannel, count: int) -> None:
    wait_for(lambda: depth(opened, QUEUE) == count, what=f"{count} messages wait")


def test_jobs_whose_messages_were_purged_all_end(system: Roles, amqp_url: str) -> None:
    locations = waiting(system, 12)
    with channel(amqp_url) as opened:
        wait_for_depth(opened, 12)
        opened.queue_purge(QUEUE)

    assert ended(system, locations) == ["done"] * 12


def test_jobs_whose_messages_were_taken_out_of_the_middle_all_end(
    system: Roles, amqp_url: str
) -> None:
    locations = waiting(system, 12)
    with channel(amqp_url) as opened:
        wait_for_depth(opened, 12)
        tags = [opened.basic_get(QUEUE)[0] for _ in range(8)]
        for method in tags[4:]:
            assert method is not None
            opened.basic_ack(method.delivery_tag or 0)

    assert ended(system, locations) == ["done"] * 12


def test_jobs_whose_queue_was_deleted_all_end(
    system: Roles, rabbitmq: Broker, amqp_url: str
) -> None:
    locations = waiting(system, 12)
    rabbitmq.delete_queues(amqp_url)

    assert ended(system, locations) == ["done"] * 12


def test_jobs_that_only_wait_are_never_published_again(system: Roles, amqp_url: str) -> None:
    waiting(system, 12)
    with channel(amqp_url) as opened:
        wait_for_depth(opened, 12)
        deadline_s = time.monotonic() + 5 * LEASE_S
        while time.monotonic() < deadline_s:
            assert depth(opened, QUEUE) == 12
            time.sleep(0.2)


def test_a_job_whose_message_was_rejected_fails_and_says_why(system: Roles, amqp_url: str) -> None:
    [location] = waiting(system, 1)
    with channel(amqp_url) as opened:
        method, _, _ = opened.basic_get(QUEUE)
        assert method is not None
        opened.basic_reject(method.delivery_tag or 0, requeue=False)

    failed = system.client.wait_for(location, patience_s=20)

    assert failed["state"] == "failed"
    assert failed["error"]["type"] == "urn:darkroom:problem:dead-lettered"
    assert "rejected" in failed["error"]["detail"]


def test_a_job_whose_message_was_delivered_too_often_is_done(
    system: Roles, rabbitmq: Broker, amqp_url: str
) -> None:
    [location] = waiting(system, 1)
    vhost, definition = amqp_url.rpartition("/")[2], json.dumps({"delivery-limit": 1})
    rabbitmq.control("-p", vhost, "set_policy", "test", f"^{QUEUE}$", definition)
    with channel(amqp_url) as opened:
        for _ in range(2):
            method, _, _ = opened.basic_get(QUEUE)
            assert method is not None
            opened.basic_nack(method.delivery_tag or 0, requeue=True)

    assert ended(system, [location]) == ["done"]


def test_rubbish_goes_through_the_dead_letters_and_harms_nobody(
    system: Roles, amqp_url: str
) -> None:
    with channel(amqp_url) as opened:
        for body in (b"", b"\xff" * 100_000, b'{"id": "\\ud800", "model": "m", "fence": 0}'):
            opened.basic_publish(EXCHANGE, ROUTING_KEY, body)
            opened.basic_publish("", DEAD_QUEUE, body)

        assert system.client.classify(IMAGE)["state"] == "done"
        wait_for(lambda: depth(opened, QUEUE) + depth(opened, DEAD_QUEUE) == 0)


def test_an_image_whose_job_was_never_recorded_is_deleted(
    system: Roles, mongo_url: str, database: str
) -> None:
    kept = system.client.classify(IMAGE)
    with connect(mongo_url, timeout_s=5) as client:
        images = open_database(client, database)["images"]
        # Soon old enough. What is much older, a courier that runs has passed already.
        stored_ms = int((time.time() - 595) * 1000)
        images.insert_one({"_id": "an orphan", "bytes": IMAGE, "stored_ms": stored_ms})
        images.insert_one({"_id": "a young one", "bytes": IMAGE, "stored_ms": stored_ms + 500_000})

        wait_for(lambda: images.find_one({"_id": "an orphan"}) is None, what="it is deleted")

        left = {image["_id"] for image in images.find()}
    assert left >= {"a young one", kept["id"]}


def test_a_frozen_broker_keeps_the_courier_neither_from_its_rescues_nor_from_its_end(
    system: Roles, rabbitmq: Broker, mongo_url: str, database: str
) -> None:
    with connect(mongo_url, timeout_s=5) as client:
        [location] = waiting(system, 1)
        job_id = location.rpartition("/")[2]
        held = {"state": "processing", "owner": "nobody", "fence": 1, "attempts": 1}
        absent = {"waiting_ms": "", "publish_due_ms": ""}
        open_database(client, database)["jobs"].update_one(
            {"_id": job_id}, {"$set": held, "$unset": absent}
        )
        rabbitmq.freeze()

        wait_for(lambda: job_at(system, location)["state"] == "pending", what="it is rescued")

    system.courier.send_signal(signal.SIGTERM)
    assert system.courier.wait(15) == 0
