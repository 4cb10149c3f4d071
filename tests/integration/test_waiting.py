"""Requests that wait for the end of a job, in a whole system."""

from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus

from requests import Response

from common.mongo.connection import connect, open_database
from testbed.server import Server
from testbed.waiting import wait_for
from tests.examples import an_image
from tests.integration.roles import Roles

WAIT_S = 40
SETTINGS = {
    "DARKROOM_STORE_TIMEOUT_S": "1",
    "DARKROOM_GRACE_S": "60",
    "DARKROOM_MAX_WAIT_S": str(WAIT_S),
}
# uwsgi.ini has two processes with eight threads each, half of which may wait. Which process
# takes a request is chance, so one of them may have answered all that found no room.
PROCESSES = 2
ROOM = 4


def test_a_submission_and_a_question_wait_for_the_result(system: Roles) -> None:
    system.model.hold()
    with ThreadPoolExecutor() as clients:
        submitted = clients.submit(system.client.post_and_wait, an_image(), WAIT_S)
        wait_for(lambda: system.model.inferences)
        system.model.let_go()
    assert submitted.result().status_code == HTTPStatus.OK
    assert submitted.result().json()["state"] == "done"

    location = system.in_hand()
    with ThreadPoolExecutor() as clients:
        asked = clients.submit(system.client.job_within, location, WAIT_S)
        wait_for(lambda: system.requests_in_hand)
        system.model.let_go()
    assert asked.result().status_code == HTTPStatus.OK
    assert asked.result().json()["state"] == "done"


def test_a_wait_that_ends_early_leaves_the_job_as_it_is(system: Roles) -> None:
    system.model.hold()

    submitted = system.client.post_and_wait(an_image(), 1)

    system.model.let_go()
    assert submitted.status_code == HTTPStatus.ACCEPTED
    assert submitted.headers["Preference-Applied"] == "wait=1"
    assert system.client.wait_for(submitted.headers["Location"])["state"] == "done"


def test_any_number_of_waiting_requests_leaves_threads_to_the_others(system: Roles) -> None:
    location = system.in_hand()
    with ThreadPoolExecutor(6 * ROOM) as clients:
        waiting = [
            clients.submit(system.client.job_within, location, WAIT_S) for _ in range(6 * ROOM)
        ]
        wait_for(lambda: system.requests_in_hand + ended(waiting) >= len(waiting))
        posted = system.client.post_form(an_image())
        answered = ended(waiting)
        system.model.let_go()

    states = [response.result().json()["state"] for response in waiting]
    assert posted.status_code == HTTPStatus.ACCEPTED
    assert answered < len(waiting)  # they waited all the time
    assert ROOM <= states.count("done") <= PROCESSES * ROOM
    assert set(states) <= {"done", "processing"}


def test_a_store_that_goes_away_during_a_wait_is_a_problem(system: Roles, mongo: Server) -> None:
    location, before = system.in_hand(), recorded(system)
    with ThreadPoolExecutor() as clients:
        asked = clients.submit(system.client.job_within, location, WAIT_S)
        wait_for(lambda: system.requests_in_hand)
        submitted = clients.submit(system.client.post_and_wait, an_image(), WAIT_S)
        wait_for(lambda: recorded(system) > before, what="the second is recorded")
        mongo.freeze()
    mongo.thaw()

    assert asked.result().status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert asked.result().json()["type"] == "urn:darkroom:problem:store-unavailable"
    assert submitted.result().status_code == HTTPStatus.ACCEPTED


def ended(requests: list[Future[Response]]) -> int:
    return sum(one.done() for one in requests)


def recorded(system: Roles) -> int:
    """Count all jobs."""
    with connect(system.settings["DARKROOM_MONGO_URL"], timeout_s=30) as client:
        return len(list(open_database(client, system.database)["jobs"].find({}, {"_id": True})))
