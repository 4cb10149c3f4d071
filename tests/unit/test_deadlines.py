"""A request that nginx has given up changes nothing."""

import time
from typing import Any

import pytest

from common.jobs import Job, JobState
from common.problems.failures import MODEL_FAILED
from tests.examples import OWNER, a_job, an_image
from tests.fakes import Clock, InMemoryStore
from tests.service import Api

IMAGE = an_image()


def sent(seconds_ago: float) -> dict[str, Any]:
    """Make the header of a request that nginx forwarded some time ago."""
    return {
        "DARKROOM_SENT_AT": f"{time.time() - seconds_ago:.3f}",
        "DARKROOM_REQUEST_LIMIT_S": "60",
    }


# Each call to the store may take 3 s, and RabbitMQ half a second, before nginx gives up. To record
# a job takes two calls, to start one again one, and to cancel it three.
LATE_S, IN_TIME_S = 54, 53
LATE_TO_RETRY_S, IN_TIME_TO_RETRY_S = 57, 56
LATE_TO_REMOVE_S, IN_TIME_TO_REMOVE_S = 51.5, 50


def submit(api: Api, environ: dict[str, Any], **headers: str) -> Any:
    return api.client.post(
        "/jobs", data=IMAGE, content_type="image/png", environ_base=environ, headers=headers
    )


def a_failed_job() -> Job:
    return a_job().claim(OWNER).fail(MODEL_FAILED.failure(""))


def test_a_submission_that_comes_too_late_records_nothing(api: Api) -> None:
    response = submit(api, sent(LATE_S))

    assert response.status_code == 503
    assert response.json["type"] == "urn:darkroom:problem:request-expired"
    assert response.headers["Retry-After"] == "2"
    assert api.store.jobs == {}
    assert api.store.images == {}
    assert api.publisher.published == []


def test_a_submission_in_time_is_accepted(api: Api) -> None:
    assert submit(api, sent(IN_TIME_S)).status_code == 202


def test_a_client_cannot_say_when_its_request_was_sent(api: Api) -> None:
    headers = {"Darkroom-Sent-At": "1", "Darkroom-Request-Limit-S": "1"}

    assert submit(api, {}, **headers).status_code == 202


def test_a_late_repetition_still_gets_the_job_that_there_is(api: Api) -> None:
    submit(api, sent(IN_TIME_S), **{"Idempotency-Key": "k1"})

    assert submit(api, sent(LATE_S), **{"Idempotency-Key": "k1"}).status_code == 202


def test_a_late_retry_and_a_late_removal_change_nothing() -> None:
    failed = a_failed_job()
    api = Api(InMemoryStore(failed))

    answers = [
        api.client.post(f"/jobs/{failed.job_id}/retry", environ_base=sent(LATE_TO_RETRY_S)),
        api.client.delete(f"/jobs/{failed.job_id}", environ_base=sent(LATE_TO_REMOVE_S)),
    ]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert api.store.jobs[failed.job_id].state is JobState.FAILED


def test_a_retry_and_a_removal_in_time_are_done() -> None:
    failed = a_failed_job()
    api = Api(InMemoryStore(failed))

    answers = [
        api.client.post(f"/jobs/{failed.job_id}/retry", environ_base=sent(IN_TIME_TO_RETRY_S)),
        api.client.delete(f"/jobs/{failed.job_id}", environ_base=sent(IN_TIME_TO_REMOVE_S)),
    ]

    assert [answer.status_code for answer in answers] == [202, 200]


def test_a_store_that_may_take_as_long_as_nginx_waits_still_gets_submissions() -> None:
    api = Api(store_timeout_s=60)

    assert submit(api, sent(20)).status_code == 202


@pytest.mark.parametrize(("seconds_ago", "applied"), [(40.5, "wait=16"), (53.2, "wait=3")])
def test_a_submission_waits_no_longer_than_nginx_does(
    monkeypatch: pytest.MonkeyPatch, seconds_ago: float, applied: str
) -> None:
    api = Api()
    clock = Clock()
    monkeypatch.setattr("api.jobs.waiting.time", clock)

    response = submit(api, sent(seconds_ago), Prefer="wait=20")

    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == applied
    assert sum(clock.slept_s) == pytest.approx(int(applied.removeprefix("wait=")))


@pytest.mark.parametrize("asked", [{"headers": {"Prefer": "wait=20"}}, {"query_string": "wait=20"}])
def test_a_question_waits_no_longer_than_nginx_does(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    job = a_job()
    api = Api(InMemoryStore(job))
    clock = Clock()
    monkeypatch.setattr("api.jobs.waiting.time", clock)

    late = api.client.get(f"/jobs/{job.job_id}", environ_base=sent(45.5), **asked)
    too_late = api.client.get(f"/jobs/{job.job_id}", environ_base=sent(70), **asked)

    assert [answer.status_code for answer in (late, too_late)] == [200, 200]
    assert sum(clock.slept_s) == pytest.approx(11)


@pytest.mark.parametrize("path", ["/models", "/healthz", "/jobs/unknown"])
def test_what_changes_nothing_has_no_deadline(api: Api, path: str) -> None:
    assert api.client.get(path, environ_base=sent(LATE_S)).status_code in {200, 404}
