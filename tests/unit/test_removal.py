"""A client removes its job: an unfinished one is cancelled, an ended one deleted."""

from collections.abc import Callable
from http import HTTPStatus

import pytest
from werkzeug.test import TestResponse

from common.jobs import Job, JobId, JobState, Result
from common.problems.failures import ENGINE_DIED
from tests.examples import JOB_ID, OWNER, TABBY, a_job, an_image
from tests.service import Api

REASON = ENGINE_DIED.failure("It was killed by SIGSEGV.")
RESULT = Result(
    predictions=(TABBY,), model="digits", model_version="sha256:0", queue_ms=1.0, inference_ms=2.0
)

WAITING = a_job(JOB_ID)
CLAIMED = WAITING.claim(OWNER)
DONE = CLAIMED.succeed(RESULT)
FAILED = CLAIMED.fail(REASON)
CANCELLED = CLAIMED.cancel()

Move = Callable[[Job], Job]


def record(api: Api, job: Job) -> None:
    api.store.jobs[job.job_id] = job
    api.store.images[job.job_id] = b"pixels"


def take_back(api: Api) -> TestResponse:
    return api.client.delete(f"/jobs/{JOB_ID}")


def let_others_move_it(api: Api, *moves: Move) -> None:
    """Make the next of *moves* after each read of the job, while there are any."""
    ahead = list(moves)
    look = api.store.get

    def get(job_id: JobId) -> Job | None:
        seen = look(job_id)
        if seen is not None and ahead:
            api.store.jobs[job_id] = ahead.pop(0)(seen)
        return seen

    api.store.get = get  # type: ignore[method-assign]


@pytest.mark.parametrize("job", [WAITING, CLAIMED], ids=["waiting", "claimed"])
def test_an_unfinished_job_is_cancelled_and_its_record_stays(api: Api, job: Job) -> None:
    record(api, job)

    answer = take_back(api)

    assert answer.status_code == HTTPStatus.OK
    assert answer.json is not None
    assert answer.json["state"] == "cancelled"
    assert answer.json["attempts"] == job.attempts
    assert "finished_at" in answer.json
    assert "Retry-After" not in answer.headers
    assert api.client.get(f"/jobs/{JOB_ID}").json == answer.json


def test_the_image_of_a_cancelled_job_is_deleted_at_once(api: Api) -> None:
    record(api, WAITING)

    take_back(api)

    assert api.store.images == {}


def test_a_job_that_was_never_published_never_will_be_once_it_is_cancelled(api: Api) -> None:
    api.publisher.is_open = False
    location = api.submit_body(an_image(), "image/png").headers["Location"]

    api.client.delete(location)

    api.store.now_s += 3600
    assert api.store.take_unpublished(lease_s=5) is None


@pytest.mark.parametrize("job", [DONE, FAILED, CANCELLED], ids=lambda job: job.state.value)
def test_a_job_that_has_ended_is_deleted_with_its_image(api: Api, job: Job) -> None:
    record(api, job)

    answer = take_back(api)

    assert answer.status_code == HTTPStatus.NO_CONTENT
    assert answer.headers["X-Job-Id"] == JOB_ID
    assert api.client.get(f"/jobs/{JOB_ID}").status_code == HTTPStatus.NOT_FOUND
    assert api.store.images == {}


def test_a_job_that_is_not_there_cannot_be_taken_back(api: Api) -> None:
    assert take_back(api).status_code == HTTPStatus.NOT_FOUND


def test_while_the_store_is_down_no_job_can_be_taken_back(api: Api) -> None:
    record(api, WAITING)
    api.store.is_down = True

    answer = take_back(api)

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("job", "move"),
    [
        pytest.param(WAITING, lambda job: job.claim(OWNER), id="claimed"),
        pytest.param(CLAIMED, lambda job: job.give_back(REASON, max_attempts=3), id="given back"),
        pytest.param(FAILED, Job.retry, id="retried"),
    ],
)
def test_a_job_that_moves_on_in_the_same_moment_is_cancelled_where_it_is_now(
    api: Api, job: Job, move: Move
) -> None:
    record(api, job)
    let_others_move_it(api, move)

    answer = take_back(api)

    assert answer.status_code == HTTPStatus.OK
    assert api.store.jobs[JOB_ID].state is JobState.CANCELLED
    assert api.store.images == {}


def test_a_job_that_ends_in_the_same_moment_is_deleted(api: Api) -> None:
    record(api, CLAIMED)
    let_others_move_it(api, lambda job: job.succeed(RESULT))

    answer = take_back(api)

    assert answer.status_code == HTTPStatus.NO_CONTENT
    assert api.store.jobs == {}
    assert api.store.images == {}


def test_of_two_who_delete_a_job_the_second_finds_none(api: Api) -> None:
    record(api, DONE)
    delete = api.store.delete

    def delete_twice(job: Job) -> None:
        delete(job)
        delete(job)

    api.store.delete = delete_twice  # type: ignore[method-assign]

    assert take_back(api).status_code == HTTPStatus.NOT_FOUND


def test_a_job_that_never_stands_still_is_left_as_it_is_and_can_be_asked_for_again(
    api: Api,
) -> None:
    record(api, WAITING)
    there_and_back: list[Move] = [
        lambda job: job.claim(OWNER),
        lambda job: job.give_back(REASON, max_attempts=1000),
    ]
    let_others_move_it(api, *there_and_back * 100)

    answer = take_back(api)

    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json is not None
    assert answer.json["type"] == "urn:darkroom:problem:job-busy"
    assert not api.store.jobs[JOB_ID].is_finished
    assert api.store.images[JOB_ID] == b"pixels"


def test_a_submission_repeated_with_its_key_gets_the_cancelled_job_until_that_is_deleted(
    api: Api,
) -> None:
    def submit() -> TestResponse:
        headers = {"Idempotency-Key": "k1"}
        image = an_image()
        return api.client.post("/jobs", data=image, content_type="image/png", headers=headers)

    location = submit().headers["Location"]
    api.client.delete(location)

    repeated = submit()
    assert repeated.json is not None
    assert (repeated.headers["Location"], repeated.json["state"]) == (location, "cancelled")

    api.client.delete(location)

    anew = submit()
    assert anew.json is not None
    assert anew.headers["Location"] != location
    assert anew.json["state"] == "pending"
