"""Every error is a problem (RFC 9457)."""

import pytest
import structlog

from common.errors import StoreForbiddenError, StoreRefusedError
from common.jobs import Job, JobId
from tests.examples import an_image
from tests.service import PROBLEM_TYPE, Api


def broken(job_id: JobId) -> Job | None:
    raise RuntimeError("mongodb://user:secret@host")


@pytest.mark.parametrize(
    "path", ["/nothing", "/jobs/", "/jobs/a/b", "/jobs//a", "/static/nothing.js", "/%ff"]
)
def test_an_unknown_path_is_a_problem(api: Api, path: str) -> None:
    response = api.client.get(path)

    assert response.status_code == 404
    assert response.content_type == PROBLEM_TYPE
    assert response.json is not None
    assert response.json["type"] == "urn:darkroom:problem:not-found"
    assert response.json["title"] == "Not Found"
    assert response.json["status"] == 404


@pytest.mark.parametrize(("method", "path"), [("GET", "/jobs"), ("POST", "/models")])
def test_a_method_that_is_not_allowed_is_a_problem_that_says_which_are(
    api: Api, method: str, path: str
) -> None:
    response = api.client.open(path, method=method)

    assert response.status_code == 405
    assert response.content_type == PROBLEM_TYPE
    assert response.allow
    assert method not in response.allow


def test_an_unexpected_error_is_logged_and_tells_the_client_nothing_of_it(api: Api) -> None:
    api.store.get = broken  # type: ignore[method-assign] # no port says that it raises this

    with structlog.testing.capture_logs() as events:
        response = api.client.get("/jobs/a")

    assert response.status_code == 500
    assert response.content_type == PROBLEM_TYPE
    assert b"secret" not in response.data
    assert [event["event"] for event in events] == ["unexpected error"]


def test_a_store_that_is_down_is_logged_with_the_reason(api: Api) -> None:
    api.store.is_down = True

    with structlog.testing.capture_logs() as events:
        response = api.submit_body(an_image(), "image/png")

    assert response.status_code == 503
    assert [(event["event"], event["error"]) for event in events] == [
        ("the store is unavailable", "the store is down")
    ]


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/jobs/a", "Nothing was looked up or changed."),
        ("DELETE", "/jobs/a", "Whether the job was removed is unknown."),
        ("POST", "/jobs/a/retry", "Nothing confirms that the request was recorded."),
    ],
)
def test_a_store_that_is_down_says_what_that_means_for_this_request(
    api: Api, method: str, path: str, words: str
) -> None:
    api.store.is_down = True

    response = api.client.open(path, method=method)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "2"
    assert response.json is not None
    assert words in response.json["detail"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreForbiddenError("not authorized"), "does not permit the service to do this"),
        (StoreRefusedError("bad value"), "The database refused"),
    ],
    ids=["forbidden", "refused"],
)
def test_a_store_that_refuses_is_no_anonymous_error(
    api: Api, error: StoreRefusedError, words: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    api.store.add = refuse  # type: ignore[method-assign] # for one call

    response = api.submit_body(an_image(), "image/png")

    assert response.status_code == 503
    assert response.json is not None
    assert response.json["type"] == "urn:darkroom:problem:store-refused"
    assert words in response.json["detail"]
    assert str(error) not in response.json["detail"]


def test_a_refused_image_is_answered_with_the_limit_that_it_exceeds() -> None:
    image = an_image(size=(10, 10))

    response = Api(max_image_pixels=99).submit_body(image, "image/png")

    assert response.status_code == 422
    assert response.json is not None
    assert response.json["type"] == "urn:darkroom:problem:image-too-many-pixels"
    assert response.json["title"] == "The image has too many pixels"
    assert "10 x 10 = 100 pixels" in response.json["detail"]
    assert response.json["limit_pixels"] == 99


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/nothing", "There is nothing at /nothing."),
        ("GET", "/%C3%A9%0A", r"There is nothing at /\xe9\n."),
        ("PUT", "/jobs", "/jobs does not accept PUT."),
    ],
)
def test_errors_of_http_itself_are_in_our_words(
    api: Api, method: str, path: str, words: str
) -> None:
    response = api.client.open(path, method=method)

    assert response.json is not None
    assert words in response.json["detail"]


def test_the_id_of_one_request_is_in_no_log_line_of_the_next(api: Api) -> None:
    api.submit_body(an_image(), "image/png")

    api.client.get("/healthz")

    assert structlog.contextvars.get_contextvars() == {}
