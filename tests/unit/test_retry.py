"""A failed job can be retried under its id."""

from http import HTTPStatus

from common.jobs import JobId, JobState
from common.problems.failures import ENGINE_DIED
from tests.examples import OWNER, a_job
from tests.service import Api

REASON = ENGINE_DIED.failure("It was killed by SIGSEGV.")


def a_failed_job(api: Api) -> JobId:
    job = a_job(attempts=2, fence=4).claim(OWNER).give_back(REASON, max_attempts=3)
    api.store.jobs[job.job_id] = job
    return job.job_id


def test_a_failed_job_tells_what_happened_at_its_attempts(api: Api) -> None:
    job_id = a_failed_job(api)

    answer = api.client.get(f"/jobs/{job_id}").json

    assert answer is not None
    assert answer["error"]["detail"] == "It was killed by SIGSEGV. (attempt 3 of 3)"
    [setback] = answer["setbacks"]
    assert setback["attempt"] == 3
    assert setback["reason"]["type"].endswith("engine-died")


def test_a_failed_job_is_published_again_at_its_new_fence(api: Api) -> None:
    job_id = a_failed_job(api)

    answer = api.client.post(f"/jobs/{job_id}/retry")

    assert answer.status_code == HTTPStatus.ACCEPTED
    assert answer.headers["Location"] == f"/jobs/{job_id}"
    assert answer.json is not None
    assert (answer.json["state"], answer.json["attempts"]) == ("pending", 0)
    assert "error" not in answer.json
    assert "setbacks" not in answer.json
    assert [(one.id, one.fence) for one in api.publisher.published] == [(job_id, 6)]


def test_a_retry_without_a_broker_waits_for_the_courier(api: Api) -> None:
    job_id = a_failed_job(api)
    api.publisher.is_open = False

    answer = api.client.post(f"/jobs/{job_id}/retry")

    assert answer.status_code == HTTPStatus.ACCEPTED
    due = api.store.take_unpublished(lease_s=5)
    assert due is not None
    assert due.job_id == job_id


def test_a_job_that_has_not_failed_cannot_be_retried(api: Api) -> None:
    for job in (a_job(), a_job().claim(OWNER), a_job().cancel()):
        api.store.jobs[job.job_id] = job

        answer = api.client.post(f"/jobs/{job.job_id}/retry")

        assert answer.status_code == HTTPStatus.CONFLICT
        assert answer.json is not None
        assert answer.json["type"] == "urn:darkroom:problem:job-not-failed"
        assert api.store.jobs[job.job_id] == job


def test_a_second_retry_in_the_same_moment_is_refused(api: Api) -> None:
    job_id = a_failed_job(api)
    failed = api.store.jobs[job_id]
    api.client.post(f"/jobs/{job_id}/retry")
    api.store.get = lambda job_id: failed  # type: ignore[method-assign]

    answer = api.client.post(f"/jobs/{job_id}/retry")

    assert answer.status_code == HTTPStatus.CONFLICT
    assert api.store.jobs[job_id].state is JobState.PENDING
    assert len(api.publisher.published) == 1


def test_an_unknown_job_cannot_be_retried(api: Api) -> None:
    assert api.client.post("/jobs/nobody/retry").status_code == HTTPStatus.NOT_FOUND
