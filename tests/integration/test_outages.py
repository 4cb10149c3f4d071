"""What a client sees while a server is away, and when it is back: nothing is lost."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from tests.e2e.client import Client
from tests.integration.roles import Roles, running_roles
from tests.servers import Broker, Server
from tests.waiting import wait_for

IMAGE = Path("models/digits/samples/7.png").read_bytes()
# Back again, a job is done within this time.
BACK_WITHIN_S = 15.0

Outage = Callable[[Broker], AbstractContextManager[None]]


@pytest.fixture
def system(rabbitmq: Broker, mongo: Server, tmp_path: Path) -> Iterator[Roles]:
    with running_roles(tmp_path, amqp_url=rabbitmq.empty_vhost(), mongo_url=mongo.url) as roles:
        yield roles


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
        # Both uWSGI processes have met it by now; from here on nobody waits for it.
        assert max(_seconds(client) for _ in range(4)) < 1

    for response in responses:
        job = client.wait_for(response.headers["Location"], patience_s=BACK_WITHIN_S)
        assert job["result"]["predictions"][0]["label"] == "7"
        assert job["attempts"] == 1


@pytest.mark.parametrize("frozen", [False, True], ids=["stopped", "frozen"])
def test_nothing_is_accepted_without_mongodb_and_all_works_once_it_is_back(
    system: Roles, mongo: Server, *, frozen: bool
) -> None:
    client = system.client
    waiting = client.post_form(IMAGE)
    _take_away(mongo, frozen=frozen)

    refused = client.post_form(IMAGE)
    polled = requests.get(client.url + waiting.headers["Location"], timeout=30)
    for response in (refused, polled):
        assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        assert int(response.headers["Retry-After"]) > 0
        assert response.json()["type"] == "urn:darkroom:problem:store-unavailable"
    assert not client.is_ready()

    mongo.recover()
    wait_for(client.is_ready, what="the service is ready again")
    assert client.wait_for(waiting.headers["Location"])["state"] == "done"
    assert client.classify(IMAGE)["state"] == "done"


def test_queues_that_are_deleted_are_declared_again(
    rabbitmq: Broker, mongo_url: str, tmp_path: Path
) -> None:
    amqp_url = rabbitmq.empty_vhost()
    with running_roles(tmp_path, amqp_url=amqp_url, mongo_url=mongo_url) as system:
        rabbitmq.delete_queues(amqp_url)

        jobs = [system.client.classify(IMAGE) for _ in range(4)]

    assert [job["state"] for job in jobs] == ["done"] * 4


def _take_away(server: Server, *, frozen: bool) -> None:
    if frozen:
        server.freeze()
    else:
        server.stop()


def _seconds(client: Client) -> float:
    return client.post_form(IMAGE).elapsed.total_seconds()
