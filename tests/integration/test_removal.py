"""A client cancels its job while it waits for, or is with, the real consumer."""

from http import HTTPStatus

from testbed.waiting import wait_for
from tests.integration.roles import Roles


def test_the_result_of_a_cancelled_job_never_appears(system: Roles) -> None:
    worked_on = system.in_hand()
    next_one, waiting, wanted = (system.submitted() for _ in range(3))
    # An engine has two lanes: while one is in it, the other's next one waits for it.
    wait_for(lambda: system.client.job(next_one)["state"] == "processing")

    answers = [system.client.delete(location) for location in (worked_on, waiting)]
    system.model.let_go()

    assert [answer.status_code for answer in answers] == [HTTPStatus.OK] * 2
    # It came last, so the consumer is done with the others by then.
    assert system.client.wait_for(wanted)["state"] == "done"
    cancelled = [system.client.job(location) for location in (worked_on, waiting)]
    assert [answer.json() for answer in answers] == cancelled
    assert [(job["state"], job["attempts"]) for job in cancelled] == [
        ("cancelled", 1),
        ("cancelled", 0),
    ]


def test_a_deleted_job_stays_away_though_its_message_comes(system: Roles) -> None:
    system.in_hand()
    deleted, wanted = system.submitted(), system.submitted()

    answers = [system.client.delete(location) for location in (deleted, deleted, deleted)]
    system.model.let_go()

    assert [answer.status_code for answer in answers] == [
        HTTPStatus.OK,
        HTTPStatus.NO_CONTENT,
        HTTPStatus.NOT_FOUND,
    ]
    assert system.client.wait_for(wanted)["state"] == "done"
    assert system.client.job(deleted)["type"] == "urn:darkroom:problem:job-not-found"
