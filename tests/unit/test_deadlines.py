"""A request that nginx has given up changes nothing."""

import time
from typing import Any

import pytest

from common.jobs import JobState
from common.problems import failure
from tests.examples import OWNER, a_job, an_image
from tests.fakes import InMemoryStore
from tests.service import Api

IMAGE = an_image()


def sent(seconds_ago: float) -> dict[str, Any]:
    """Make what nginx says of a request that it sent some time ago."""
    return {
        "DARKROOM_SENT_AT": f"{time.time() - seconds_ago:.3f}",
        "DARKROOM_REQUEST_LIMIT_S": "60",
    }


# The store has 3 s, and RabbitMQ half a second, which end before nginx gives up.
LATE_S, IN_TIME_S = 57, 10


def submit(api: Api, environ: dict[str, Any], **headers: str) -> Any:
    return api.client.post(
        "/jobs", data=IMAGE, content_type="image/png", environ_base=environ, headers=headers
    )


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
    failed = a_job().claim(OWNER).fail(failure("model-failed", "The model failed", ""))
    api = Api(InMemoryStore(failed))

    answers = [
        api.client.post(f"/jobs/{failed.job_id}/retry", environ_base=sent(LATE_S)),
        api.client.delete(f"/jobs/{failed.job_id}", environ_base=sent(LATE_S)),
    ]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert api.store.jobs[failed.job_id].state is JobState.FAILED


@pytest.mark.parametrize("path", ["/models", "/healthz", "/jobs/unknown"])
def test_what_changes_nothing_has_no_deadline(api: Api, path: str) -> None:
    assert api.client.get(path, environ_base=sent(LATE_S)).status_code in {200, 404}
