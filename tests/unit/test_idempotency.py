"""A repeated submission with the same key returns the first job."""

import time
from http import HTTPStatus
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.jobs import Job, Result
from common.problems.failures import MODEL_FAILED
from common.workers import ModelState
from tests.examples import OWNER, TABBY, a_model, a_worker, an_image
from tests.service import Api

IMAGE = an_image()
A_RESULT = Result(
    predictions=(TABBY,), model="digits", model_version="0", queue_ms=1, inference_ms=2
)


def submit(api: Api, key: str, image: bytes = IMAGE, **query: Any) -> TestResponse:
    return api.client.post(
        "/jobs",
        data=image,
        content_type="image/png",
        query_string=query,
        headers={"Idempotency-Key": key},
    )


def test_a_repeated_submission_gets_the_job_of_the_first(api: Api) -> None:
    first = submit(api, "k1", top_k=3)

    second = submit(api, "k1", top_k=3)

    assert second.status_code == HTTPStatus.ACCEPTED
    assert second.headers["Location"] == first.headers["Location"]
    assert len(api.store.jobs) == len(api.store.images) == len(api.publisher.published) == 1


def test_an_answer_says_whether_it_is_a_replay(api: Api) -> None:
    first, second = submit(api, "k1"), submit(api, "k1")

    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_a_repeated_submission_of_a_job_that_has_ended_is_no_longer_on_its_way(
    api: Api, end: str
) -> None:
    first = submit(api, "k1")
    [(job_id, job)] = api.store.jobs.items()
    ends = {
        "done": job.claim(OWNER).succeed(A_RESULT),
        "failed": job.claim(OWNER).fail(MODEL_FAILED.failure("")),
        "cancelled": job.cancel(),
    }
    api.store.jobs[job_id] = ends[end]

    second = submit(api, "k1")

    assert second.status_code == HTTPStatus.OK
    assert second.json is not None
    assert second.json["state"] == end
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Retry-After" not in second.headers


def test_the_same_request_in_another_form_is_the_same(api: Api) -> None:
    first = submit(api, "k1", top_k=3)

    second = api.client.post(
        "/jobs",
        data={"image": (BytesIO(IMAGE), "a.png"), "top_k": "3"},
        headers={"Idempotency-Key": '"k1"'},
    )

    assert second.json is not None
    assert first.json is not None
    assert second.json["id"] == first.json["id"]


@pytest.mark.parametrize(
    "other",
    [{"top_k": 4}, {"metadata": '{"a": 1}'}, {"image": an_image(size=(9, 9))}],
    ids=["top_k", "metadata", "image"],
)
def test_the_same_key_for_another_request_is_a_mistake(api: Api, other: dict[str, Any]) -> None:
    submit(api, "k1")

    refused = submit(api, "k1", **other)

    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert refused.json is not None
    assert refused.json["type"] == "urn:darkroom:problem:idempotency-key-reused"
    assert len(api.store.jobs) == 1


def test_other_keys_and_no_keys_make_jobs_of_their_own(api: Api) -> None:
    for key in ("k1", "k2"):
        submit(api, key)
    api.submit_body(IMAGE, "image/png")
    api.submit_body(IMAGE, "image/png")

    assert len(api.store.jobs) == 4


def test_the_loser_of_a_race_gets_the_job_of_the_winner(api: Api) -> None:
    looked: list[str] = []
    find = api.store.find_by_key

    def find_nothing_at_first(idempotency_key: str) -> Job | None:
        looked.append(idempotency_key)
        return None if len(looked) == 2 else find(idempotency_key)

    api.store.find_by_key = find_nothing_at_first  # type: ignore[method-assign]
    first = submit(api, "k1")

    second = submit(api, "k1")

    assert first.json is not None
    assert second.json is not None
    assert second.json["id"] == first.json["id"]
    assert len(api.publisher.published) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, '"'])
def test_what_is_no_key_is_refused(api: Api, key: str) -> None:
    refused = submit(api, key)

    assert refused.status_code == HTTPStatus.BAD_REQUEST
    assert refused.json is not None
    assert refused.json["type"] == "urn:darkroom:problem:idempotency-key-broken"
    assert api.store.jobs == {}


def test_a_submission_that_was_refused_can_be_sent_again_with_its_key(api: Api) -> None:
    api.store.is_down = True
    refused = submit(api, "k1")
    api.store.is_down = False

    accepted = submit(api, "k1")

    assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert accepted.status_code == HTTPStatus.ACCEPTED


def test_a_repeated_submission_finds_its_job_though_its_model_is_gone_by_now(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submit(api, "k1", model="digits")
    api.registry.beat(a_worker(OWNER, a_model("digits", ModelState.UNAVAILABLE, reason="gone")))
    later_s = time.monotonic() + 60  # the catalog of models is older than it may be
    monkeypatch.setattr("api.models.catalog.time.monotonic", lambda: later_s)

    second = submit(api, "k1", model="digits")

    new = submit(api, "k2", model="digits")
    assert new.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert second.status_code == HTTPStatus.ACCEPTED
    assert second.headers["Location"] == first.headers["Location"]
