"""Compressed request bodies are decompressed within the limits, or refused with a problem."""

import gzip
import json
from base64 import b64encode

import pytest
from werkzeug.test import TestResponse

from tests.examples import an_image
from tests.service import Api

IMAGE = an_image()
BOUNDARY = "x"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    + IMAGE
    + b'\r\n--x\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n2\r\n--x--\r\n'
)
JSON = json.dumps({"base64": b64encode(IMAGE).decode(), "top_k": 2}).encode()


def submit(api: Api, body: bytes, content_type: str, coding: str = "gzip") -> TestResponse:
    headers = {"Content-Encoding": coding}
    return api.client.post("/jobs", data=body, content_type=content_type, headers=headers)


def type_of(response: TestResponse) -> str:
    assert response.json is not None
    return str(response.json["type"]).removeprefix("urn:darkroom:problem:")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (IMAGE, "image/png"),
        (JSON, "application/json"),
        (FORM, f"multipart/form-data; boundary={BOUNDARY}"),
    ],
    ids=["raw", "json", "form"],
)
@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzip_body_is_decompressed_in_every_form(
    api: Api, body: bytes, content_type: str, coding: str
) -> None:
    response = submit(api, gzip.compress(body), content_type, coding)

    assert response.status_code == 202
    [stored] = api.store.images.values()
    assert stored == IMAGE


def test_identity_is_no_coding(api: Api) -> None:
    assert submit(api, IMAGE, "image/png", "identity").status_code == 202


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "nonsense"])
def test_other_codings_are_refused_by_name(api: Api, coding: str) -> None:
    response = submit(api, IMAGE, "image/png", coding)

    assert response.status_code == 415
    assert type_of(response) == "content-encoding-unsupported"
    assert response.headers["Accept-Encoding"] == "gzip"
    assert response.json is not None
    assert repr(coding) in response.json["detail"]


@pytest.mark.parametrize(
    "body",
    [
        IMAGE,
        b"",
        gzip.compress(IMAGE)[:-9],
        gzip.compress(IMAGE) + b"more",
        gzip.compress(IMAGE) * 2,
    ],
    ids=["not gzip", "empty", "cut off", "followed by rubbish", "two members"],
)
def test_a_body_that_is_not_one_gzip_member_is_refused(api: Api, body: bytes) -> None:
    response = submit(api, body, "image/png")

    assert response.status_code == 400
    assert type_of(response) == "content-encoding-broken"
    assert api.store.jobs == {}


def test_a_body_that_decompresses_to_more_than_the_limit_is_refused(api: Api) -> None:
    bomb = gzip.compress(bytes(api.settings.max_body_bytes + 1))

    response = submit(api, bomb, "image/png")

    assert response.status_code == 413
    assert type_of(response) == "body-too-large"
    assert response.json is not None
    assert response.json["limit_bytes"] == api.settings.max_body_bytes
