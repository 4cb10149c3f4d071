"""The three forms of a submission, and what each says when a field is wrong."""

import json
from base64 import b64encode, urlsafe_b64encode
from io import BytesIO
from typing import Any
from urllib.parse import quote

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from werkzeug.test import TestResponse

from api.jobs.schemas import FormOptions, JobOptions
from tests.examples import an_image
from tests.service import Api

IMAGE = an_image()
BASE64 = b64encode(IMAGE).decode()

# Its texts include unpaired surrogates, its numbers NaN and very large ones.
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4)
    ),
    max_leaves=10,
)


def type_of(response: TestResponse) -> str:
    return str(json.loads(response.data)["type"]).removeprefix("urn:darkroom:problem:")


def detail_of(response: TestResponse) -> str:
    return str(json.loads(response.data)["detail"])


def wrong_fields(response: TestResponse) -> list[str]:
    assert response.status_code == 422
    return [error["field"] for error in json.loads(response.data)["errors"]]


# The three forms


def test_an_image_in_a_form_is_accepted(api: Api) -> None:
    response = api.submit_form(IMAGE)

    assert response.status_code == 202
    assert response.json is not None
    assert response.json["image"]["source"] == "multipart"


@pytest.mark.parametrize(
    "content_type", ["image/png", "image/anything", "IMAGE/PNG", "application/octet-stream"]
)
def test_an_image_as_the_body_is_accepted(api: Api, content_type: str) -> None:
    response = api.submit_body(IMAGE, content_type)

    assert response.status_code == 202
    assert response.json is not None
    assert response.json["image"]["source"] == "body"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BASE64, id="plain"),
        pytest.param(f"data:image/png;base64,{BASE64}", id="data URL"),
        pytest.param("\n".join([BASE64[:40], BASE64[40:], ""]), id="wrapped"),
        pytest.param("\r\n".join([BASE64[:40], BASE64[40:], ""]), id="wrapped on Windows"),
        pytest.param(f"DATA:image/png;BASE64,{BASE64}", id="data URL in capitals"),
        pytest.param(f"data:image/png;name=a.png;base64,{BASE64}", id="data URL with a parameter"),
        pytest.param(f"data:;base64,{quote(BASE64)}", id="data URL, percent-encoded"),
        pytest.param(urlsafe_b64encode(IMAGE).decode(), id="base64url"),
        pytest.param(BASE64.rstrip("="), id="without padding"),
    ],
)
def test_an_image_in_base64_is_accepted(api: Api, text: str) -> None:
    response = api.client.post("/jobs", json={"base64": text})

    assert response.status_code == 202
    assert response.json is not None
    assert response.json["image"]["source"] == "base64"
    assert response.json["image"]["bytes"] == len(IMAGE)


def test_options_beside_the_image_are_heeded_in_every_form(api: Api) -> None:
    metadata = {"album": "x", "page": 3, "ratio": 0.5, "good": True, "by": None}
    text = json.dumps(metadata)

    responses = [
        api.submit_form(IMAGE, model="digits", top_k="3", metadata=text),
        api.submit_body(IMAGE, "image/png", model="digits", top_k=3, metadata=text),
        api.submit_json(IMAGE, model="digits", top_k=3, metadata=metadata),
    ]

    for response in responses:
        assert response.json is not None
        assert response.json["model"] == "digits"
        assert response.json["top_k"] == 3
        assert response.json["metadata"] == metadata


def test_without_options_a_job_gets_the_default_model_and_five_predictions(api: Api) -> None:
    response = api.submit_body(IMAGE, "image/png")

    assert response.json is not None
    assert (response.json["model"], response.json["top_k"]) == ("digits", 5)
    assert response.json["metadata"] == {}


def test_a_field_that_is_left_empty_in_a_form_means_the_default(api: Api) -> None:
    response = api.submit_form(IMAGE, model="", top_k="", metadata="")

    assert response.status_code == 202


# The image is in the wrong place


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"]
)
def test_another_content_type_is_unsupported_and_told_what_is(
    api: Api, content_type: str | None
) -> None:
    response = api.submit_body(IMAGE, content_type)

    assert response.status_code == 415
    assert "multipart/form-data" in detail_of(response)
    assert "image/*" in detail_of(response)
    assert "application/json" in detail_of(response)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="no file"),
        pytest.param({"image": "no file but text"}, id="a field that is no file"),
        pytest.param({"photo": (BytesIO(IMAGE), "a.png")}, id="another field"),
        pytest.param(
            {"image": [(BytesIO(IMAGE), "a.png"), (BytesIO(IMAGE), "b.png")]}, id="two files"
        ),
        pytest.param(
            {"image": (BytesIO(IMAGE), "a.png"), "other": (BytesIO(IMAGE), "b.png")},
            id="a second file in another field",
        ),
    ],
)
def test_a_form_without_exactly_one_image_is_refused(api: Api, fields: dict[str, Any]) -> None:
    response = api.client.post("/jobs", data=fields, content_type="multipart/form-data")

    assert response.status_code == 422
    assert type_of(response) == "one-image-expected"


def test_a_form_with_the_image_in_another_field_is_told_which_it_has(api: Api) -> None:
    response = api.client.post("/jobs", data={"photo": (BytesIO(IMAGE), "a.png")})

    assert "`photo`" in detail_of(response)
    assert "`image`" in detail_of(response)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"base64": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"model": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b"[" * 60_000, id="deeply nested"),
        pytest.param(b'{"top_k": 1' + b"0" * 5000 + b"}", id="a vast number"),
        pytest.param(b"base64=abc", id="a form"),
    ],
)
def test_a_body_that_is_not_json_is_a_bad_request(api: Api, body: bytes) -> None:
    response = api.submit_body(body, "application/json")

    assert response.status_code == 400
    assert type_of(response) == "json-broken"


@pytest.mark.parametrize("value", [None, 1, "text", [], True])
def test_json_that_is_no_object_is_refused(api: Api, value: object) -> None:
    response = api.submit_body(json.dumps(value).encode(), "application/json")

    assert response.status_code == 422
    assert "must be an object" in detail_of(response)


@pytest.mark.parametrize(
    "text",
    ["a", "ab=c", "äöü", "a-_/!", "data:image/png;base64,a", "data:image/png,abcd", "data:abcd"],
)
def test_broken_base64_is_named_as_such(api: Api, text: str) -> None:
    response = api.client.post("/jobs", json={"base64": text})

    assert response.status_code == 422
    assert type_of(response) == "base64-broken"


@pytest.mark.parametrize("fields", [{}, {"base64": ""}, {"base64": None}, {"base64": 1}])
def test_json_without_base64_is_told_which_field_it_lacks(
    api: Api, fields: dict[str, object]
) -> None:
    response = api.client.post("/jobs", json=fields)

    assert wrong_fields(response) == ["base64"]


# Wrong options


@pytest.mark.parametrize("top_k", [1, 100])
def test_top_k_may_be_1_to_100(api: Api, top_k: int) -> None:
    responses = [api.submit_json(IMAGE, top_k=top_k), api.submit_form(IMAGE, top_k=str(top_k))]

    assert [response.status_code for response in responses] == [202, 202]


@pytest.mark.parametrize("top_k", [0, 101, -1, 10**30, "5", True, 5.5, None, [5], {}])
def test_another_top_k_is_refused_in_json(api: Api, top_k: object) -> None:
    response = api.submit_json(IMAGE, top_k=top_k)

    assert wrong_fields(response) == ["top_k"]


@pytest.mark.parametrize("top_k", ["0", "101", "-1", "five", "5.5", "1" * 5000, "NaN"])
def test_another_top_k_is_refused_in_a_form(api: Api, top_k: str) -> None:
    responses = [
        api.submit_form(IMAGE, top_k=top_k),
        api.submit_body(IMAGE, "image/png", top_k=top_k),
    ]

    assert [wrong_fields(response) for response in responses] == [["top_k"], ["top_k"]]


def test_unknown_fields_are_named_in_every_form(api: Api) -> None:
    responses = [
        api.submit_form(IMAGE, topk="3"),
        api.submit_body(IMAGE, "image/png", topk="3"),
        api.submit_json(IMAGE, topk=3),
    ]

    for response in responses:
        assert wrong_fields(response) == ["topk"]
        assert detail_of(response) == "topk: there is no such field"


def test_every_wrong_field_is_named(api: Api) -> None:
    response = api.submit_json(IMAGE, top_k=0, model=7, topk=1)

    assert sorted(wrong_fields(response)) == ["model", "top_k", "topk"]


def test_a_flood_of_unknown_fields_gets_a_short_answer(api: Api) -> None:
    floods = [{f"field{number}": 1 for number in range(count)} for count in (50, 4000)]

    responses = [api.submit_json(IMAGE, **flood) for flood in floods]

    for response in responses:
        assert response.status_code == 422
        assert len(response.data) < 5000


def test_an_unknown_field_with_an_endless_name_gets_a_short_answer(api: Api) -> None:
    response = api.submit_json(IMAGE, **{"x" * 50_000: 1})

    assert wrong_fields(response) == ["x" * 100]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"a": 2**63 - 1, "b": -(2**63)}, id="whole numbers of 64 bits"),
        pytest.param({"a": 1e308, "b": -0.0}, id="numbers"),
        pytest.param({"a": "ä\u0000\U0001f600"}, id="any text"),
        pytest.param({"Key_0-9": ""}, id="every character a key may have"),
        pytest.param({"k" * 64: ""}, id="a long key"),
    ],
)
def test_metadata_comes_back_as_it_was(api: Api, metadata: dict[str, object]) -> None:
    responses = [
        api.submit_json(IMAGE, metadata=metadata),
        api.submit_form(IMAGE, metadata=json.dumps(metadata)),
    ]

    for response in responses:
        assert response.json is not None
        assert response.json["metadata"] == metadata


@pytest.mark.parametrize(
    ("metadata", "field"),
    [
        pytest.param({"a": {"b": 1}}, "metadata.a", id="an object inside"),
        pytest.param({"a": [1]}, "metadata.a", id="a list inside"),
        pytest.param({"a": float("nan")}, "metadata.a", id="NaN"),
        pytest.param({"a": float("inf")}, "metadata.a", id="infinity"),
        pytest.param({"a": 2**63}, "metadata.a", id="more than 64 bits"),
        pytest.param({"a": -(2**63) - 1}, "metadata.a", id="less than 64 bits"),
        pytest.param({"a": 10**400}, "metadata.a", id="a vast number"),
        pytest.param({"a b": 1}, "metadata.a b.[key]", id="a space in a key"),
        pytest.param({"$set": 1}, "metadata.$set.[key]", id="an operator of MongoDB"),
        pytest.param({"a.b": 1}, "metadata.a.b.[key]", id="a dot in a key"),
        pytest.param({"a\n": 1}, "metadata.a\n.[key]", id="a line break in a key"),
        pytest.param({"": 1}, "metadata..[key]", id="an empty key"),
        pytest.param({"k" * 65: 1}, f"metadata.{'k' * 65}.[key]", id="an overlong key"),
        pytest.param([1], "metadata", id="a list"),
        pytest.param("text", "metadata", id="text"),
        pytest.param(None, "metadata", id="null"),
        pytest.param({"a": "x" * 4096}, "metadata", id="over 4096 bytes"),
    ],
)
def test_metadata_that_is_not_small_flat_and_of_scalars_is_refused(
    api: Api, metadata: object, field: str
) -> None:
    responses = [
        api.submit_json(IMAGE, metadata=metadata),
        api.submit_form(IMAGE, metadata=json.dumps(metadata)),
    ]

    assert [wrong_fields(response) for response in responses] == [[field], [field]]


@pytest.mark.parametrize("text", ["{", "a=1", "{'a': 1}", '{"a": "\\ud800"}', "[" * 60_000])
def test_metadata_in_a_form_that_is_not_json_is_refused(api: Api, text: str) -> None:
    response = api.submit_form(IMAGE, metadata=text)

    assert detail_of(response) == "metadata: must be a JSON object, as text"


def test_metadata_may_have_4096_bytes_and_is_told_when_it_has_more(api: Api) -> None:
    frame = len(json.dumps({"a": ""}))

    fits = api.submit_json(IMAGE, metadata={"a": "x" * (4096 - frame)})
    exceeds = api.submit_json(IMAGE, metadata={"a": "x" * (4097 - frame)})

    assert fits.status_code == 202
    assert "4097 bytes" in detail_of(exceeds)
    assert "4096" in detail_of(exceeds)


# Properties


@given(st.dictionaries(st.text("ab", max_size=2), SCALARS, max_size=3))
def test_mongodb_can_hold_all_metadata_that_is_accepted(metadata: dict[str, object]) -> None:
    for options, given_as in ((JobOptions, metadata), (FormOptions, json.dumps(metadata))):
        try:
            accepted = options.model_validate_json(json.dumps({"metadata": given_as}), strict=True)
        except ValidationError:
            continue
        assert bson.decode(bson.encode(accepted.metadata)) == metadata


@given(JSON_VALUES)
def test_any_json_value_as_a_body_is_an_error_of_the_client(value: object) -> None:
    response = API.submit_body(json.dumps(value).encode(), "application/json")

    assert 400 <= response.status_code < 500


@given(
    st.fixed_dictionaries(
        {"base64": st.just(BASE64)},
        optional={"model": JSON_VALUES, "top_k": JSON_VALUES, "metadata": JSON_VALUES},
    )
)
def test_any_json_values_of_the_fields_are_accepted_or_an_error_of_the_client(
    fields: dict[str, object],
) -> None:
    response = API.submit_body(json.dumps(fields).encode(), "application/json")

    assert response.status_code == 202 or 400 <= response.status_code < 500


@given(
    st.dictionaries(
        st.sampled_from(["model", "top_k", "metadata"]), st.text() | JSON_VALUES.map(json.dumps)
    )
)
def test_any_texts_of_the_fields_are_accepted_or_an_error_of_the_client(
    fields: dict[str, str],
) -> None:
    responses = [API.submit_form(IMAGE, **fields), API.submit_body(IMAGE, "image/png", **fields)]

    for response in responses:
        assert response.status_code == 202 or 400 <= response.status_code < 500


PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
CONTENT_TYPES = (
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/json",
    "application/json; charset=utf-16",
    "image/png",
    "application/octet-stream",
    "text/plain",
    None,
)


@given(
    st.sampled_from(CONTENT_TYPES),
    st.sampled_from([b"", PART, b"--x\r\n", b'{"base64": "', IMAGE[:40]]),
    st.binary(),
    st.sampled_from([b"", b"\r\n--x--\r\n", b'"}']),
)
def test_any_bytes_as_a_body_are_an_error_of_the_client(
    content_type: str | None, start: bytes, middle: bytes, end: bytes
) -> None:
    response = API.submit_body(start + middle + end, content_type)

    # What begins like the image may be a valid image.
    assert response.status_code == 202 or 400 <= response.status_code < 500


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_any_content_type_is_accepted_or_an_error_of_the_client(content_type: str) -> None:
    response = API.submit_body(IMAGE, content_type)

    assert response.status_code == 202 or 400 <= response.status_code < 500


# Hypothesis calls a test many times, but its fixtures only once.
API = Api()
