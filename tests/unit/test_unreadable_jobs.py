"""How the API answers for jobs that another version recorded."""

import copy
import json
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from werkzeug.test import TestResponse

from api.jobs.schemas import JobView
from api.schemas import as_json
from common.jobs import Job, JobState
from common.mongo.documents import from_document
from tests.examples import JOB_ID, OWNER, a_job, an_image
from tests.records import FULL_JOB, at, document_of, in_state, objects_in
from tests.service import Api

PLACES = tuple(objects_in(document_of(FULL_JOB)))
MEMBERS = [(*place, name) for place in PLACES for name in at(document_of(FULL_JOB), place)]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture
def unreadable(api: Api) -> Api:
    """An API whose store holds a job that cannot be read."""
    api.store.jobs[JOB_ID] = a_job(JOB_ID)
    api.store.unreadable.add(JOB_ID)
    return api


def check_unreadable(answer: TestResponse) -> None:
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer.json is not None
    assert answer.json["type"] == "urn:darkroom:problem:job-unreadable"
    assert "later version" in answer.json["detail"]
    assert answer.headers["Retry-After"] == "30"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/jobs/{JOB_ID}"),
        ("GET", f"/jobs/{JOB_ID}?wait=1"),
        ("DELETE", f"/jobs/{JOB_ID}"),
        ("POST", f"/jobs/{JOB_ID}/retry"),
    ],
)
def test_a_job_that_cannot_be_read_is_there_and_is_left_as_it_is(
    unreadable: Api, method: str, path: str
) -> None:
    before = unreadable.store.jobs[JOB_ID]

    check_unreadable(unreadable.client.open(path, method=method))

    assert unreadable.store.jobs[JOB_ID] is before


def test_a_key_whose_job_cannot_be_read_makes_no_second_job(api: Api) -> None:
    def submit() -> TestResponse:
        return api.client.post(
            "/jobs", data=an_image(), content_type="image/png", headers={"Idempotency-Key": "k"}
        )

    first = submit().json
    assert first is not None
    api.store.unreadable.add(first["id"])

    check_unreadable(submit())

    assert len(api.store.jobs) == len(api.store.images) == 1


def test_a_job_that_becomes_unreadable_while_its_client_waits_was_accepted(api: Api) -> None:
    def spoil(*jobs: Job) -> None:
        api.store.unreadable.update(job.job_id for job in jobs)

    api.store.mark_published = spoil  # type: ignore[method-assign]
    api = Api(api.store)

    answer = api.client.post(
        "/jobs", data=an_image(), content_type="image/png", headers={"Prefer": "wait=1"}
    )

    assert answer.status_code == HTTPStatus.ACCEPTED


def test_a_probability_that_is_off_by_its_rounding_is_shown(api: Api) -> None:
    assert FULL_JOB.result is not None
    off = replace(FULL_JOB.result.predictions[0], probability=1.0000001)
    done = replace(FULL_JOB, result=replace(FULL_JOB.result, predictions=(off,)))
    api.store.jobs[JOB_ID] = in_state(done, JobState.DONE)

    assert api.client.get(f"/jobs/{JOB_ID}").status_code == HTTPStatus.OK


def test_an_image_that_a_later_version_took_in_another_way_is_shown(api: Api) -> None:
    job = a_job(JOB_ID).claim(OWNER)
    api.store.jobs[JOB_ID] = replace(job, image=replace(job.image, source="url"))

    answer = api.client.get(f"/jobs/{JOB_ID}")

    assert answer.json is not None
    assert answer.json["image"]["source"] == "url"


@given(st.sampled_from(MEMBERS), values)
def test_whatever_can_be_read_can_be_shown(path: Any, value: Any) -> None:
    document = copy.deepcopy(document_of(FULL_JOB))
    at(document, path[:-1])[path[-1]] = value
    try:
        job = from_document(document)
    except ValidationError:
        return

    json.dumps(as_json(JobView.of(job)), allow_nan=False)
