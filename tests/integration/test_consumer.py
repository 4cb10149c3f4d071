"""A consumer process from its start to its end, and what its death leaves behind."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.examples import an_image
from tests.integration.roles import Roles, running_roles
from tests.waiting import wait_for

# The engine warms up with an image of 64 pixels; any other takes its time, one of 5
# for ever, and one of 3 takes the engine along.
SLOW = """
import os
import signal
import time

class Predictor:
    def load(self):
        pass

    def predict(self, images):
        if images[0].width == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        if images[0].width == 5:
            time.sleep(3600)
        if images[0].width != 64:
            time.sleep(2)
        return [[("slow", 1.0)] for _ in images]
"""


@pytest.fixture
def system(amqp_url: str, mongo_url: str, tmp_path: Path) -> Iterator[Roles]:
    folder = tmp_path / "models" / "slow"
    folder.mkdir(parents=True)
    (folder / "predictor.py").write_text(SLOW)
    (folder / "model.toml").write_text('predictor = "predictor:Predictor"')
    with running_roles(
        tmp_path,
        amqp_url=amqp_url,
        mongo_url=mongo_url,
        DARKROOM_MODELS="slow",
        DARKROOM_MODELS_DIR=str(folder.parent),
        DARKROOM_LEASE_S="2",
    ) as roles:
        yield roles


def submitted(system: Roles) -> str:
    """Hand in an image, wait until it is being worked on, and say where its job is."""
    location = system.client.post_form(an_image()).headers["Location"]
    wait_for(lambda: job_at(system, location)["state"] == "processing", what="it is claimed")
    return location


def job_at(system: Roles, location: str) -> dict[str, Any]:
    job: dict[str, Any] = requests.get(system.client.url + location, timeout=30).json()
    return job


def test_a_consumer_that_is_asked_to_stop_finishes_what_it_has_in_hand(system: Roles) -> None:
    location = submitted(system)

    system.consumer.terminate()

    assert system.consumer.wait(15) == 0
    job = job_at(system, location)
    assert (job["state"], job["attempts"]) == ("done", 1)


def test_a_consumer_that_is_asked_twice_gives_back_what_it_has_in_hand(system: Roles) -> None:
    location = system.client.post_form(an_image(size=(5, 5))).headers["Location"]
    wait_for(lambda: job_at(system, location)["state"] == "processing", what="it is claimed")

    def ask_again() -> bool:
        system.consumer.terminate()
        return system.consumer.poll() is not None

    wait_for(ask_again, what="it ends before its job and its time of grace do")

    assert system.consumer.returncode == 0
    job = job_at(system, location)
    assert job["state"] == "pending"
    assert [setback["attempt"] for setback in job["setbacks"]] == [1]


def test_a_consumer_that_stopped_has_said_goodbye(system: Roles) -> None:
    system.consumer.terminate()
    system.consumer.wait(15)

    checks = requests.get(system.client.url + "/readyz", timeout=30).json()["checks"]

    assert checks["consumer"] == "no consumer is alive"


def test_the_job_of_a_killed_consumer_is_done_by_the_next_one(system: Roles) -> None:
    location = submitted(system)

    system.consumer.send_signal(signal.SIGKILL)

    with system.another_consumer():
        job = system.client.wait_for(location, patience_s=60)
    assert (job["state"], job["attempts"]) == ("done", 2)


def test_the_engine_of_a_killed_consumer_dies_with_it(system: Roles) -> None:
    tasks = Path(f"/proc/{system.consumer.pid}/task")
    engines = {pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    assert engines

    system.consumer.send_signal(signal.SIGKILL)
    system.consumer.wait(15)

    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in engines))


def test_a_job_that_kills_every_engine_fails_and_harms_no_other(system: Roles) -> None:
    deadly = system.client.post_form(an_image(size=(3, 3))).headers["Location"]
    harmless = system.client.post_form(an_image()).headers["Location"]

    failed, done = system.client.wait_for(deadly), system.client.wait_for(harmless)

    assert done["state"] == "done"
    assert (failed["state"], failed["attempts"]) == ("failed", 3)
    assert failed["error"]["type"] == "urn:darkroom:problem:engine-died"
    assert failed["error"]["detail"] == "It was killed by SIGSEGV. (attempt 3 of 3)"
    assert [setback["attempt"] for setback in failed["setbacks"]] == [1, 2, 3]

    retried = requests.post(f"{system.client.url}{deadly}/retry", timeout=30)

    assert retried.status_code == 202
    assert system.client.wait_for(deadly)["attempts"] == 3


def test_a_courier_that_is_asked_to_stop_ends_with_status_0(system: Roles) -> None:
    system.courier.terminate()

    assert system.courier.wait(15) == 0
