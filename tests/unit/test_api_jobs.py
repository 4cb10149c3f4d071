"""The resource ``/jobs``: what a client sees of its job, and of failures of the service."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.jobs import Failure, Job, OwnerId, Prediction, Result
from common.workers import ModelState
from tests.examples import JOB_ID, OWNER, TABBY, a_job, a_model, a_worker, an_image
from tests.service import Api

IMAGE = an_image()
RESULT = Result(
    predictions=(TABBY, Prediction("tiger cat", 0.125)),
    model="digits",
    model_version="sha256:0",
    queue_ms=1.5,
    inference_ms=2.5,
)
FAILURE = Failure(type="urn:darkroom:problem:x", title="It failed", detail="Because.")
NOW = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)


def a_done_job() -> Job:
    return replace(a_job(JOB_ID).claim(OWNER).succeed(RESULT), finished_at=NOW)


def a_failed_job() -> Job:
    return replace(a_job(JOB_ID).claim(OWNER).fail(FAILURE), finished_at=NOW)


@pytest.fixture
def small() -> Api:
    """Take images of at most 1 KiB."""
    return Api(max_image_bytes=1024)


# Submitting


def test_an_accepted_image_is_answered_with_a_ticket(api: Api) -> None:
    response = api.submit_body(IMAGE, "image/png")

    assert response.status_code == 202
    assert response.json is not None
    assert response.json["state"] == "pending"
    assert response.headers["Location"] == f"/jobs/{response.json['id']}"
    assert response.headers["X-Job-Id"] == response.json["id"]
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Cache-Control"] == "no-store"


def test_the_location_of_a_ticket_leads_to_the_job(api: Api) -> None:
    submitted = api.submit_body(IMAGE, "image/png")

    response = api.client.get(submitted.headers["Location"])

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["id"] == submitted.headers["X-Job-Id"]


def test_a_ticket_tells_what_was_understood_of_the_image(api: Api) -> None:
    response = api.submit_form(an_image("JPEG", size=(12, 9)))

    assert response.json is not None
    assert response.json["image"]["format"] == "JPEG"
    assert (response.json["image"]["width"], response.json["image"]["height"]) == (12, 9)


def test_rabbitmq_being_down_does_not_concern_the_client(api: Api) -> None:
    api.publisher.is_open = False

    response = api.submit_body(IMAGE, "image/png")

    assert response.status_code == 202
    assert api.publisher.published == []
    assert response.headers["X-Job-Id"] in api.store.jobs


def test_while_the_store_is_down_nothing_is_accepted(api: Api) -> None:
    api.store.is_down = True

    response = api.submit_body(IMAGE, "image/png")

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert api.store.jobs == {}
    assert api.publisher.published == []


def test_an_unknown_model_is_refused_with_those_there_are(api: Api) -> None:
    response = api.submit_body(IMAGE, "image/png", model="lenet")

    assert response.status_code == 422
    assert response.json is not None
    assert response.json["models"] == ["digits", "resnet18"]
    assert "'lenet'" in response.json["detail"]


def test_an_unavailable_model_is_refused_with_its_reason(api: Api) -> None:
    response = api.submit_body(IMAGE, "image/png", model="resnet18")

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.json is not None
    assert "no weights here" in response.json["detail"]
    assert api.store.jobs == {}


@pytest.mark.parametrize("state", [ModelState.LOADING, ModelState.READY])
def test_a_model_that_is_loading_or_ready_takes_jobs(api: Api, state: ModelState) -> None:
    api.registry.beat(a_worker(OWNER, a_model("digits", state)))

    response = api.submit_body(IMAGE, "image/png")

    assert response.status_code == 202


def test_a_model_that_one_of_two_consumers_can_serve_takes_jobs(api: Api) -> None:
    api.registry.forget(OWNER)
    for name, state in (("a", ModelState.UNAVAILABLE), ("b", ModelState.READY)):
        api.registry.beat(a_worker(OwnerId(name), a_model("digits", state)))

    response = api.submit_body(IMAGE, "image/png")

    assert response.status_code == 202


def test_jobs_are_taken_before_any_consumer_has_started(api: Api) -> None:
    api.registry.forget(OWNER)

    response = api.submit_body(IMAGE, "image/png")

    assert response.status_code == 202


# Bad requests


@pytest.mark.parametrize(
    ("image", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"\0", 415, id="one byte"),
        pytest.param(b"Dear Sir or Madam,\n", 415, id="text"),
    ],
)
def test_rubbish_is_refused_in_every_form(api: Api, image: bytes, status: int) -> None:
    responses = [
        api.submit_body(image, "image/jpeg"),
        api.submit_form(image, filename="photo.jpg"),
        api.submit_body(b'{"base64": "data:;base64,"}', "application/json")
        if not image
        else api.submit_json(image),
    ]

    assert [response.status_code for response in responses] == [status] * 3
    assert api.store.jobs == {}


def test_an_image_over_the_limit_is_refused_with_the_limit(small: Api) -> None:
    image = IMAGE + bytes(1024)

    responses = [
        small.submit_body(image, "image/png"),
        small.submit_form(image),
        small.submit_json(image),
    ]

    for response in responses:
        assert response.status_code == 413
        assert response.json is not None
        assert response.json["limit_bytes"] == 1024
        assert f"{len(image)} bytes" in response.json["detail"]


def test_the_largest_image_fits_into_every_form(small: Api) -> None:
    image = IMAGE + bytes(1024 - len(IMAGE))

    responses = [
        small.submit_body(image, "image/png"),
        small.submit_form(image),
        small.submit_json(image),
    ]

    assert [response.status_code for response in responses] == [202, 202, 202]


@pytest.mark.parametrize("content_type", ["image/png", "application/json"])
def test_a_body_over_the_limit_is_refused_with_the_limit(small: Api, content_type: str) -> None:
    limit = small.settings.max_body_bytes

    response = small.submit_body(bytes(limit + 1), content_type)

    assert response.status_code == 413
    assert response.json is not None
    assert response.json["limit_bytes"] == limit
    assert f"{limit} bytes" in response.json["detail"]


def test_a_form_over_the_limit_is_refused_with_the_limit(small: Api) -> None:
    response = small.submit_form(bytes(small.settings.max_body_bytes))

    assert response.status_code == 413
    assert response.json is not None
    assert response.json["type"].endswith("body-too-large")


def test_a_body_over_the_limit_without_content_length_is_refused(small: Api) -> None:
    body = BytesIO(bytes(small.settings.max_body_bytes + 1))

    response = small.client.post(
        "/jobs",
        input_stream=body,
        content_type="image/png",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert response.status_code == 413


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([b"1"] * 25, id="too many parts"),
        pytest.param([b"x" * 600_000], id="a large field that is no file"),
    ],
)
def test_an_excessive_form_is_told_so_and_not_of_the_size_of_the_body(
    api: Api, values: list[bytes]
) -> None:
    header = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    body = b"".join(header + value + b"\r\n" for value in values) + b"--x--\r\n"

    response = api.submit_body(body, "multipart/form-data; boundary=x")

    assert response.status_code == 413
    assert response.json is not None
    assert response.json["type"].endswith("form-too-large")


# Polling


@pytest.mark.parametrize("job", [a_job(JOB_ID), a_job(JOB_ID).claim(OWNER)])
def test_an_unfinished_job_says_when_to_ask_again(api: Api, job: Job) -> None:
    api.store.jobs[JOB_ID] = job

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.status_code == 200
    assert response.headers["Retry-After"] == "1"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json is not None
    assert not response.json.keys() & {"result", "error"}


@pytest.mark.parametrize("job", [a_done_job(), a_failed_job()])
def test_a_finished_job_need_not_be_asked_again(api: Api, job: Job) -> None:
    api.store.jobs[JOB_ID] = job

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.status_code == 200
    assert "Retry-After" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"


def test_a_done_job_has_its_predictions_the_most_probable_first(api: Api) -> None:
    api.store.jobs[JOB_ID] = a_done_job()

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.json is not None
    assert response.json["state"] == "done"
    assert response.json["result"] == {
        "predictions": [
            {"label": "tabby", "probability": 0.75},
            {"label": "tiger cat", "probability": 0.125},
        ],
        "model": "digits",
        "model_version": "sha256:0",
        "queue_ms": 1.5,
        "inference_ms": 2.5,
    }


def test_a_failed_job_has_its_reason(api: Api) -> None:
    api.store.jobs[JOB_ID] = a_failed_job()

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.json is not None
    assert response.json["state"] == "failed"
    assert response.json["error"] == {
        "type": "urn:darkroom:problem:x",
        "title": "It failed",
        "detail": "Because.",
    }


def test_a_job_keeps_how_we_count_and_who_works_to_itself(api: Api) -> None:
    api.store.jobs[JOB_ID] = a_job(JOB_ID).claim(OWNER)

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.json is not None
    assert not response.json.keys() & {"fence", "owner", "job_id"}


def test_times_are_in_utc_and_say_so(api: Api) -> None:
    api.store.jobs[JOB_ID] = a_done_job()

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.json is not None
    assert response.json["created_at"] == "2026-01-02T03:04:05.678000Z"
    assert response.json["finished_at"] == "2026-01-02T03:04:06Z"


def test_a_job_that_is_not_there_is_unknown_or_expired(api: Api) -> None:
    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.status_code == 404
    assert response.json is not None
    assert response.json["type"] == "urn:darkroom:problem:job-not-found"


def test_while_the_store_is_down_a_job_cannot_be_shown(api: Api) -> None:
    api.store.is_down = True

    response = api.client.get(f"/jobs/{JOB_ID}")

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


@given(st.text())
def test_any_text_as_an_id_is_a_job_that_is_not_there(job_id: str) -> None:
    response = API.client.get("/jobs/" + quote(job_id))

    assert response.status_code in (404, 405)


# Hypothesis calls a test many times, but its fixtures only once.
API = Api()
