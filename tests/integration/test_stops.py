"""SIGTERM at bad moments: jobs in work are finished or given back, and the status is 0."""

import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import count
from pathlib import Path
from threading import Event

import pytest
import requests

from testbed.broker import Broker
from testbed.client import Client
from testbed.server import Server
from testbed.waiting import wait_for
from tests.examples import an_image
from tests.integration.roles import ENDS_WITHIN_S, Roles, environment, programs

SETTINGS = {"DARKROOM_LEASE_S": "3"}
# For roles that must finish something in that time.
LONG_GRACE_S = "120"

Harm = Callable[[Broker, Server], None]


def nothing(_rabbitmq: Broker, _mongo: Server) -> None:
    pass


def all_frozen(rabbitmq: Broker, mongo: Server) -> None:
    rabbitmq.freeze()
    mongo.freeze()


def all_stopped(rabbitmq: Broker, mongo: Server) -> None:
    rabbitmq.stop()
    mongo.stop()


@pytest.mark.parametrize("harm", [nothing, all_frozen, all_stopped])
def test_idle_roles_stop_in_time_whatever_the_servers_do(
    system: Roles, rabbitmq: Broker, mongo: Server, harm: Harm
) -> None:
    harm(rabbitmq, mongo)

    with ThreadPoolExecutor() as stopping:
        statuses = stopping.map(ends_in_time, system.servers.values())

    assert dict(zip(system.servers, statuses, strict=True)) == dict.fromkeys(system.servers, 0)


@pytest.mark.parametrize("role", ["api", "consumer-1", "courier"])
def test_a_role_that_still_starts_stops_as_well(
    rabbitmq: Broker, mongo: Server, tmp_path: Path, role: str
) -> None:
    settings = environment(tmp_path, amqp_url=rabbitmq.empty_vhost(), mongo_url=mongo.url)
    [program] = [one for one in programs(settings) if one.name == role]
    server = Server(program, log=tmp_path / "log")
    server.launch()
    # Past the start of the interpreter, which hears nothing, and of uWSGI, which is ended by it.
    wait_for(
        lambda: hears_sigterm(server.pid) and (role != "api" or server.has_said("(master-start)")),
        what="it hears SIGTERM",
    )

    assert ends_in_time(server) == 0


def test_a_consumer_that_lost_its_broker_finishes_what_it_has_in_hand(
    system: Roles, rabbitmq: Broker
) -> None:
    location = system.in_hand()
    rabbitmq.stop()
    wait_for(lambda: system.servers["consumer-1"].has_said("was lost"))

    system.consumer.terminate()
    system.model.let_go()

    assert system.consumer.wait(ENDS_WITHIN_S) == 0
    job = system.client.job(location)
    assert (job["state"], job["attempts"], system.model.inferences) == ("done", 1, 1)


def test_a_consumer_whose_queue_was_deleted_finishes_what_it_has_in_hand(
    system: Roles, rabbitmq: Broker
) -> None:
    location = system.in_hand()
    rabbitmq.delete_queues(system.amqp_url)

    system.consumer.terminate()
    system.model.let_go()

    assert system.consumer.wait(ENDS_WITHIN_S) == 0
    assert system.client.job(location)["state"] == "done"


def test_a_result_that_waits_for_its_store_is_saved_by_a_consumer_that_stops(
    system: Roles, mongo: Server
) -> None:
    with system.another_grace(LONG_GRACE_S):
        location = system.in_hand()
        mongo.stop()
        system.consumer.terminate()
        system.model.let_go()
        wait_for(lambda: system.servers["consumer-1"].has_said("retrying until it works"))

        mongo.start()

        assert system.consumer.wait(float(LONG_GRACE_S)) == 0
    job = system.client.job(location)
    assert (job["state"], job["attempts"], system.model.inferences) == ("done", 1, 1)


def test_a_result_without_a_store_is_given_up_after_the_time_of_grace(
    system: Roles, mongo: Server
) -> None:
    location = system.in_hand()
    mongo.stop()
    system.model.let_go()

    system.consumer.terminate()

    assert system.consumer.wait(ENDS_WITHIN_S) == 0
    mongo.start()
    with system.another_consumer():
        job = system.client.wait_for(location)
    assert (job["state"], job["attempts"]) == ("done", 2)


def test_requests_in_hand_are_answered_by_an_api_that_stops(system: Roles, mongo: Server) -> None:
    mongo.freeze()
    with ThreadPoolExecutor() as clients:
        asked = [clients.submit(system.client.post_form, an_image()) for _ in range(4)]
        wait_for(lambda: system.requests_in_hand + sum(one.done() for one in asked) >= 4)

        assert ends_in_time(system.api) == 0

    problems = [response.result().json()["type"] for response in asked]
    assert problems == ["urn:darkroom:problem:store-unavailable"] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="nobody tells the api elsewhere")
def test_requests_that_wait_for_a_job_keep_no_api_from_stopping(system: Roles) -> None:
    location = system.in_hand()
    with ThreadPoolExecutor() as clients:
        asked = [clients.submit(system.client.job_within, location, 4) for _ in range(2)]
        wait_for(lambda: system.requests_in_hand == len(asked), what="they wait")

        assert ends_in_time(system.api) == 0

    assert [response.result().json()["state"] for response in asked] == ["processing"] * 2


def test_a_restart_of_the_api_loses_no_job(system: Roles) -> None:
    restarted = Event()
    with ThreadPoolExecutor() as clients:
        working = [clients.submit(submit_until, restarted, system.client) for _ in range(4)]
        for _ in range(2):
            time.sleep(1)
            assert ends_in_time(system.api) == 0
            system.api.start()
        restarted.set()
        submitted = [location for worker in working for location in worker.result()]

    states = {system.client.job(location)["state"] for location in submitted}
    assert submitted
    assert len(set(submitted)) == len(submitted)
    assert states <= {"pending", "processing", "done"}


def submit_until(end: Event, client: Client) -> list[str]:
    """Submit images, each until it is accepted; return the locations of their jobs."""
    locations: list[str] = []
    for number in count():
        if end.is_set():
            return locations
        key = f"{id(locations)}-{number}"
        while not (response := submit(client, key)).ok:
            # Nobody listens for a moment: then nginx answers, in the api's words.
            assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.json()["type"] == "urn:darkroom:problem:api-unavailable"
            time.sleep(0.1)
        locations.append(response.headers["Location"])
    raise AssertionError


def submit(client: Client, key: str) -> requests.Response:
    return requests.post(
        f"{client.url}/jobs",
        data=an_image(),
        headers={"Content-Type": "image/png", "Idempotency-Key": key},
        timeout=30,
    )


def hears_sigterm(pid: int) -> bool:
    """Return whether a process catches or blocks the signal."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    heard = int(status["SigCgt"], 16) | int(status["SigBlk"], 16)
    return bool(heard >> signal.SIGTERM - 1 & 1)


def ends_in_time(server: Server) -> int:
    """Ask *server* to stop, and return its exit status."""
    assert server.process is not None
    server.process.terminate()
    return server.process.wait(ENDS_WITHIN_S)
