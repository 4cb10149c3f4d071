"""What a client sees while a server is down and after it is back: nothing is lost."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from pathlib import Path

import pika
import psutil
import pytest
import requests

from common.rabbitmq.topology import QUEUE, declare
from testbed.broker import Broker
from testbed.held import HeldModel
from testbed.server import Server
from testbed.waiting import wait_for
from tests.integration.roles import Roles, environment, programs, running_roles

IMAGE = Path("models/digits/samples/7.png").read_bytes()
SETTINGS = {"DARKROOM_LEASE_S": "5"}
# What takes longer waits for a connection's heartbeats.
HANGS_AFTER_S = 15
# The share of a core that a role may take while there is nothing to do but to wait, once it has
# logged what it waits for.
WAITING_SHARE, SETTLED_WITHIN_S = 0.02, 90

Outage = Callable[[Broker], AbstractContextManager[None]]


@contextmanager
def stopped(broker: Broker) -> Iterator[None]:
    broker.stop()
    yield
    broker.start()


@contextmanager
def frozen(broker: Broker) -> Iterator[None]:
    broker.freeze()
    yield
    broker.thaw()


def in_alarm(broker: Broker) -> AbstractContextManager[None]:
    return broker.memory_alarm()


@pytest.mark.parametrize("outage", [stopped, frozen, in_alarm])
def test_jobs_are_accepted_without_rabbitmq_and_done_once_it_is_back(
    system: Roles, rabbitmq: Broker, outage: Outage
) -> None:
    client = system.client
    with outage(rabbitmq):
        responses = [client.post_form(IMAGE) for _ in range(8)]
        assert [response.status_code for response in responses] == [HTTPStatus.ACCEPTED] * 8
        assert max(response.elapsed.total_seconds() for response in responses) < HANGS_AFTER_S

    for response in responses:
        job = client.wait_for(response.headers["Location"])
        assert (job["state"], job["attempts"]) == ("done", 1)


@pytest.mark.parametrize("frozen", [False, True], ids=["stopped", "frozen"])
def test_nothing_is_accepted_without_mongodb_and_all_works_once_it_is_back(
    system: Roles, mongo: Server, *, frozen: bool
) -> None:
    client = system.client
    waiting = client.hand_in(IMAGE)
    _take_away(mongo, frozen=frozen)

    refused = client.post_form(IMAGE)
    polled = requests.get(client.url + waiting, timeout=30)
    for response in (refused, polled):
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert int(response.headers["Retry-After"]) > 0
        assert response.json()["type"] == "urn:darkroom:problem:store-unavailable"
    assert not client.is_ready()

    mongo.recover()
    wait_for(client.is_ready, what="the service is ready again")
    assert client.wait_for(waiting)["state"] == "done"
    assert client.classify(IMAGE)["state"] == "done"


def test_queues_that_are_deleted_are_declared_again(system: Roles, rabbitmq: Broker) -> None:
    rabbitmq.delete_queues(system.amqp_url)

    jobs = [system.client.classify(IMAGE) for _ in range(4)]

    assert [job["state"] for job in jobs] == ["done"] * 4


def test_a_consumer_whose_queue_was_replaced_by_another_consumes_that(system: Roles) -> None:
    with pika.BlockingConnection(pika.URLParameters(system.amqp_url)) as connection:
        channel = connection.channel()
        channel.queue_delete(QUEUE)
        declare(channel)  # before RabbitMQ has told the consumer

    assert system.client.classify(IMAGE)["state"] == "done"


@pytest.mark.parametrize("frozen", [False, True], ids=["stopped", "frozen"])
def test_a_result_is_held_while_the_store_is_away_and_not_computed_again(
    system: Roles, mongo: Server, *, frozen: bool
) -> None:
    location = system.in_hand()

    _take_away(mongo, frozen=frozen)
    system.model.let_go()
    wait_for(lambda: system.servers["consumer-1"].has_said("retrying until it works"))
    mongo.recover()

    job = system.client.wait_for(location)
    assert (job["state"], job["attempts"], system.model.inferences) == ("done", 1, 1)


def test_a_job_whose_broker_went_away_is_saved_and_its_redelivery_dropped(
    system: Roles, rabbitmq: Broker
) -> None:
    location = system.in_hand()

    rabbitmq.stop()
    system.model.let_go()
    job = system.client.wait_for(location)
    rabbitmq.start()

    wait_for(lambda: system.servers["consumer-1"].has_said("the job has moved on"))
    assert (job["state"], job["attempts"], system.model.inferences) == ("done", 1, 1)


@pytest.mark.parametrize("first", ["rabbitmq", "mongo"])
def test_roles_wait_for_servers_that_start_after_them_in_any_order(
    rabbitmq: Broker, mongo: Server, tmp_path: Path, first: str
) -> None:
    amqp_url = rabbitmq.empty_vhost()
    servers = [rabbitmq, mongo] if first == "rabbitmq" else [mongo, rabbitmq]
    for server in servers:
        server.stop()

    def start_late() -> None:
        for server in servers:
            time.sleep(3)
            server.start()

    with ThreadPoolExecutor() as later:
        started = later.submit(start_late)
        with running_roles(tmp_path, amqp_url=amqp_url, mongo_url=mongo.url) as system:
            assert system.client.classify(IMAGE)["state"] == "done"
    started.result()


def test_roles_that_wait_for_their_servers_sleep(
    system: Roles, rabbitmq: Broker, mongo: Server
) -> None:
    rabbitmq.stop()
    mongo.stop()
    pids = [pid for server in system.servers.values() for pid in (server.pid, *server.children())]

    wait_until_they_sleep(pids)


def test_a_consumer_that_may_connect_but_not_declare_sleeps(
    rabbitmq: Broker, mongo: Server, tmp_path: Path
) -> None:
    amqp_url = rabbitmq.empty_vhost()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(QUEUE, durable=True)  # no quorum queue, as ours
    settings = environment(
        tmp_path, amqp_url=amqp_url, mongo_url=mongo.url, **HeldModel(tmp_path).install()
    )
    consumer = Server(programs(settings)[0], log=tmp_path / "log")
    with closing_down(consumer):
        consumer.start()
        wait_for(lambda: consumer.has_said("PRECONDITION_FAILED"))

        wait_until_they_sleep([consumer.pid])


@contextmanager
def closing_down(server: Server) -> Iterator[None]:
    try:
        yield
    finally:
        server.stop()


def wait_until_they_sleep(pids: list[int]) -> None:
    """Wait for some seconds in which all processes were idle."""
    wait_for(
        lambda: max(_shares_of_a_core(pids, seconds=5)) < WAITING_SHARE,
        within_s=SETTLED_WITHIN_S,
        what="they sleep",
    )


def _shares_of_a_core(pids: list[int], *, seconds: float) -> list[float]:
    before = [_busy_s(pid) for pid in pids]
    started_s = time.monotonic()
    time.sleep(seconds)
    passed_s = time.monotonic() - started_s
    return [(_busy_s(pid) - busy_s) / passed_s for pid, busy_s in zip(pids, before, strict=True)]


def _busy_s(pid: int) -> float:
    """Return the processor time of a process."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def _take_away(server: Server, *, frozen: bool) -> None:
    if frozen:
        server.freeze()
    else:
        server.stop()
