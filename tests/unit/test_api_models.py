"""The resource ``/models``, and how fresh it is."""

import json
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.models.catalog import ModelCatalog
from common.jobs import OwnerId
from common.workers import ModelState
from tests.examples import OWNER, a_model, a_worker, an_image
from tests.fakes import InMemoryRegistry
from tests.service import Api


def models_in(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 200
    assert response.json is not None
    found: list[dict[str, Any]] = response.json["models"]
    return found


def test_models_are_listed_with_what_their_consumers_tell(api: Api) -> None:
    response = api.client.get("/models")

    assert models_in(response) == [
        {
            "name": "digits",
            "state": "ready",
            "default": True,
            "version": "sha256:0",
            "labels": 10,
            "description": "handwritten digits",
        },
        {
            "name": "resnet18",
            "state": "unavailable",
            "default": False,
            "reason": "no weights here",
            "version": "sha256:0",
        },
    ]


def test_a_model_tells_what_computes_it_and_in_which_precision() -> None:
    api = Api()
    model = a_model("digits", runtime="openvino", precision="int8")
    api.registry.beat(a_worker(OWNER, model))

    [found] = models_in(api.client.get("/models"))

    assert (found["runtime"], found["precision"]) == ("openvino", "int8")


def test_the_default_comes_first_and_the_others_by_name() -> None:
    api = Api(models=("b", "c", "a"), default_model="c")
    api.registry.forget(OWNER)

    response = api.client.get("/models")

    assert [model["name"] for model in models_in(response)] == ["c", "a", "b"]


def test_a_model_that_no_consumer_told_of_yet_is_loading(api: Api) -> None:
    api.registry.forget(OWNER)

    response = api.client.get("/models")

    assert models_in(response) == [{"name": "digits", "state": "loading", "default": True}]


def test_while_the_store_is_down_models_cannot_be_listed(api: Api) -> None:
    api.registry.is_down = True

    response = api.client.get("/models")

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0


def test_what_consumers_told_is_kept_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = InMemoryRegistry()
    catalog = ModelCatalog(registry, configured=["digits"], default="digits")
    now_s = 100.0
    monkeypatch.setattr("api.models.catalog.time.monotonic", lambda: now_s)
    catalog.models()

    registry.beat(a_worker(OWNER, a_model("digits")))
    at_once = catalog.models()["digits"].state
    now_s = 101.0
    a_second_later = catalog.models()["digits"].state

    assert (at_once, a_second_later) == (ModelState.LOADING, ModelState.READY)


def test_a_format_that_a_consumer_cannot_decode_is_refused_at_once() -> None:
    api = Api()
    api.registry.beat(replace(a_worker(OwnerId("another")), lacks=("HEIF",)))

    refused = api.submit_body(an_image("HEIF"), "image/heic")
    accepted = api.submit_body(an_image("AVIF"), "image/avif")

    assert refused.status_code == 415
    problem = json.loads(refused.data)
    assert problem["type"] == "urn:darkroom:problem:image-unreadable"
    assert problem["accepted"] == ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
    assert "HEIC (HEIF) image" in problem["detail"]
    assert accepted.status_code == 202


def test_a_format_that_all_consumers_can_decode_is_accepted(api: Api) -> None:
    assert api.submit_body(an_image("HEIF"), "image/heic").status_code == 202


def test_a_submission_that_was_accepted_stays_so_when_its_format_is_not_any_more() -> None:
    api = Api()
    headers = {"Idempotency-Key": "k1", "Content-Type": "image/heic"}
    first = api.client.post("/jobs", data=an_image("HEIF"), headers=headers)
    api.registry.beat(replace(a_worker(OwnerId("another")), lacks=("HEIF",)))

    again = api.client.post("/jobs", data=an_image("HEIF"), headers=headers)

    assert again.status_code == 202
    assert again.headers["X-Job-Id"] == first.headers["X-Job-Id"]
