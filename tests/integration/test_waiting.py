"""Requests that wait for the end of a job, in a whole system."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.examples import an_image
from tests.integration.roles import Roles, SlowModel, running_roles
from tests.servers import Broker, Server

MODEL_S = 2
# uwsgi.ini has two processes with eight threads each, half of which may wait. Which process
# takes a request is chance, so one of them may have answered all that found no room.
PROCESSES = 2
ROOM = 4
SOON_S = 1.0


@pytest.fixture
def system(rabbitmq: Broker, mongo: Server, tmp_path: Path) -> Iterator[Roles]:
    model = SlowModel(tmp_path, seconds=MODEL_S)
    with running_roles(
        tmp_path,
        amqp_url=rabbitmq.empty_vhost(),
        mongo_url=mongo.url,
        DARKROOM_STORE_TIMEOUT_S="1",
        DARKROOM_GRACE_S="20",
        **model.settings,
    ) as roles:
        yield roles


def test_a_submission_and_a_question_wait_for_the_result(system: Roles) -> None:
    submitted = system.client.post_and_wait(an_image(), 15)
    assert submitted.status_code == 200
    assert submitted.json()["state"] == "done"

    location = system.client.post_form(an_image()).headers["Location"]
    asked = system.client.job_within(location, 15)
    assert asked.status_code == 200
    assert asked.json()["state"] == "done"


def test_a_wait_that_ends_early_leaves_the_job_as_it_is(system: Roles) -> None:
    submitted = system.client.post_and_wait(an_image(), 1)

    assert submitted.status_code == 202
    assert submitted.headers["Preference-Applied"] == "wait=1"
    job = system.client.wait_for(submitted.headers["Location"])
    assert job["state"] == "done"


def test_any_number_of_waiting_requests_leaves_threads_to_the_others(system: Roles) -> None:
    locations = [system.client.post_form(an_image()).headers["Location"] for _ in range(3)]
    with ThreadPoolExecutor(6 * ROOM) as clients:
        waiting = [
            clients.submit(system.client.job_within, locations[-1], 15) for _ in range(6 * ROOM)
        ]
        time.sleep(SOON_S)  # all of them have arrived by now
        started_s = time.monotonic()
        posted = system.client.post_form(an_image())
        took_s = time.monotonic() - started_s
        states = [response.result().json()["state"] for response in waiting]

    assert posted.status_code == 202
    assert took_s < SOON_S
    assert ROOM <= states.count("done") <= PROCESSES * ROOM
    assert set(states) <= {"done", "pending"}


def test_a_store_that_goes_away_during_a_wait_is_a_problem(system: Roles, mongo: Server) -> None:
    location = system.client.post_form(an_image()).headers["Location"]
    with ThreadPoolExecutor() as clients:
        asked = clients.submit(system.client.job_within, location, 15)
        submitted = clients.submit(system.client.post_and_wait, an_image(), 15)
        time.sleep(SOON_S)
        mongo.freeze()
    mongo.thaw()

    assert asked.result().status_code == 503
    assert asked.result().json()["type"] == "urn:darkroom:problem:store-unavailable"
    assert submitted.result().status_code == 202
