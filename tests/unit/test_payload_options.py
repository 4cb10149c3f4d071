"""Every form of submission takes the same options, in its body and in the query."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.examples import an_image
from tests.service import Api

IMAGE = an_image()
FORMS = ("form", "body", "json")
WITH_FIELDS = ("form", "json")


def submit(api: Api, form: str, query: Any = "", **fields: Any) -> TestResponse:
    """Submit an image in one of the three forms, with *fields* in its body."""
    if form == "form":
        data = {"image": (BytesIO(IMAGE), "a.png"), **fields}
        return api.client.post("/jobs", data=data, query_string=query)
    if form == "json":
        body = {"base64": b64encode(IMAGE).decode(), **fields}
        return api.client.post("/jobs", json=body, query_string=query)
    return api.client.post("/jobs", data=IMAGE, content_type="image/png", query_string=query)


def wrong_fields(response: TestResponse) -> list[str]:
    assert response.status_code == 422
    assert response.json is not None
    return [error["field"] for error in response.json["errors"]]


@pytest.mark.parametrize("form", FORMS)
def test_options_in_the_query_count_in_every_form(api: Api, form: str) -> None:
    query = {"top_k": "2", "model": "digits", "metadata": '{"album": "x"}'}

    response = submit(api, form, query)

    assert response.status_code == 202
    assert response.json is not None
    assert response.json["top_k"] == 2
    assert response.json["metadata"] == {"album": "x"}


@pytest.mark.parametrize("form", WITH_FIELDS)
def test_options_of_the_body_and_of_the_query_add_up(api: Api, form: str) -> None:
    response = submit(api, form, {"top_k": "2"}, model="digits")

    assert response.status_code == 202
    assert response.json is not None
    assert (response.json["top_k"], response.json["model"]) == (2, "digits")


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_option_in_the_query_is_refused_in_every_form(api: Api, form: str) -> None:
    response = submit(api, form, {"topk": "2"})

    assert wrong_fields(response) == ["topk"]
    assert api.store.jobs == {}


@pytest.mark.parametrize("form", WITH_FIELDS)
def test_a_query_that_contradicts_the_body_is_refused(api: Api, form: str) -> None:
    response = submit(api, form, {"model": "digits"}, model="resnet18")

    assert wrong_fields(response) == ["model"]
    assert api.store.jobs == {}


@pytest.mark.parametrize("form", WITH_FIELDS)
def test_a_query_that_repeats_the_body_is_accepted(api: Api, form: str) -> None:
    response = submit(api, form, {"model": "digits"}, model="digits")

    assert response.status_code == 202


def test_null_in_json_does_not_contradict_the_query(api: Api) -> None:
    response = submit(api, "json", {"model": "digits"}, model=None)

    assert response.status_code == 202
    assert response.json is not None
    assert response.json["model"] == "digits"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("again", [2, 3])
def test_an_option_given_twice_is_refused(api: Api, form: str, again: int) -> None:
    response = submit(api, form, f"top_k=2&top_k={again}")

    assert wrong_fields(response) == ["top_k"]


def test_a_field_of_a_form_given_twice_is_refused(api: Api) -> None:
    response = submit(api, "form", top_k=["2", "3"])

    assert wrong_fields(response) == ["top_k"]


@pytest.mark.parametrize("form", FORMS)
def test_a_bad_option_in_the_query_is_named_in_every_form(api: Api, form: str) -> None:
    assert wrong_fields(submit(api, form, {"top_k": "0"})) == ["top_k"]


@pytest.mark.parametrize("form", FORMS)
def test_the_query_may_ask_to_wait(api: Api, form: str) -> None:
    response = submit(api, form, {"wait": "0"})

    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize("form", FORMS)
def test_a_wait_that_is_no_number_of_seconds_is_refused(api: Api, form: str) -> None:
    assert wrong_fields(submit(api, form, {"wait": "soon"})) == ["wait"]
    assert api.store.jobs == {}


@given(st.sampled_from(FORMS), st.integers(1, 100))
def test_the_answer_does_not_depend_on_where_an_option_stands(form: str, top_k: int) -> None:
    api = Api()

    response = submit(api, form, {"top_k": str(top_k)})

    assert response.json is not None
    assert response.json["top_k"] == top_k
