"""A consumer process from start to end, and what remains if it is killed."""

import signal

import requests

from testbed.processes import children_of, wait_until_gone
from testbed.waiting import wait_for
from tests.examples import an_image
from tests.integration.roles import ENDS_WITHIN_S, Roles

SETTINGS = {"DARKROOM_LEASE_S": "2"}


def test_a_consumer_that_is_asked_to_stop_finishes_what_it_has_in_hand(system: Roles) -> None:
    location = system.in_hand()

    system.consumer.terminate()
    system.model.let_go()

    assert system.consumer.wait(ENDS_WITHIN_S) == 0
    job = system.client.job(location)
    assert (job["state"], job["attempts"]) == ("done", 1)


def test_a_consumer_that_is_asked_twice_gives_back_what_it_has_in_hand(system: Roles) -> None:
    location = system.in_hand()

    def ask_again() -> bool:
        system.consumer.terminate()
        return system.consumer.poll() is not None

    wait_for(ask_again, what="it ends before its job and its time of grace do")

    assert system.consumer.returncode == 0
    job = system.client.job(location)
    assert job["state"] == "pending"
    assert [setback["attempt"] for setback in job["setbacks"]] == [1]


def test_a_consumer_that_stopped_has_said_goodbye(system: Roles) -> None:
    system.consumer.terminate()
    system.consumer.wait(ENDS_WITHIN_S)

    checks = requests.get(system.client.url + "/readyz", timeout=30).json()["checks"]

    assert checks["consumer"] == "no consumer is alive"


def test_the_job_of_a_killed_consumer_is_done_by_the_next_one(system: Roles) -> None:
    location = system.in_hand()

    system.consumer.send_signal(signal.SIGKILL)
    system.model.let_go()

    with system.another_consumer():
        job = system.client.wait_for(location)
    assert (job["state"], job["attempts"]) == ("done", 2)


def test_the_engine_of_a_killed_consumer_dies_with_it(system: Roles) -> None:
    engines = children_of(system.consumer.pid)

    system.consumer.send_signal(signal.SIGKILL)
    system.consumer.wait(ENDS_WITHIN_S)

    wait_until_gone(engines)


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

    assert system.courier.wait(ENDS_WITHIN_S) == 0
