"""The API over fakes, as a client sees it. Every answer is checked against the description."""

import json
import re
from base64 import b64encode
from functools import cache
from http import HTTPStatus
from io import BytesIO
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from api.app import create_app
from api.health.schemas import HealthView, ReadinessView
from api.jobs.room import Room
from api.jobs.schemas import JobView
from api.jobs.waiting import Waits
from api.models.schemas import ModelList
from api.openapi import describe
from api.samples.schemas import SampleList
from api.schemas import ProblemView, as_json
from common.memory import MEBIBYTE
from common.settings.api import ApiSettings
from common.workers import ModelState
from tests.examples import OWNER, a_model, a_worker
from tests.fakes import (
    FixedUsage,
    InMemoryEvidence,
    InMemoryRegistry,
    InMemoryStore,
    RecordingPublisher,
)

# Whoever runs the tests may have settings of their own.
_NO_PREFIX = "NO_VARIABLE_BEGINS_LIKE_THIS_"

REQUEST_THREADS = 4
PROBLEM_TYPE = "application/problem+json"
# By their names in the description.
VIEWS = {
    view.__name__: view
    for view in (JobView, ModelList, SampleList, HealthView, ReadinessView, ProblemView)
}


class Api:
    """The application, the fakes behind it, and the ways to submit an image."""

    def __init__(self, store: InMemoryStore | None = None, **settings: Any) -> None:
        self.store = store or InMemoryStore()
        self.registry = InMemoryRegistry(
            a_worker(
                OWNER,
                a_model("digits", labels=10, description="handwritten digits"),
                a_model("resnet18", ModelState.UNAVAILABLE, reason="no weights here"),
            )
        )
        self.publisher = RecordingPublisher()
        self.evidence = InMemoryEvidence()
        self.usage = FixedUsage()
        self.is_stopping = False
        self.settings = ApiSettings(_env_prefix=_NO_PREFIX, **{"models": ("digits",)} | settings)
        self.app = create_app(
            self.settings,
            store=self.store,
            registry=self.registry,
            publisher=self.publisher,
            evidence=self.evidence,
            room=Room(
                self.usage,
                folders=self.settings.disk_folders,
                min_free_bytes=self.settings.min_free_mb * MEBIBYTE,
                max_stored_bytes=self.settings.max_stored_bytes,
            ),
            note_published=self.store.mark_published,
            waits=Waits(
                self.store,
                longest_s=self.settings.longest_wait_s,
                threads=lambda: REQUEST_THREADS,
                is_stopping=lambda: self.is_stopping,
            ),
        )
        self.app.test_client_class = DescribedClient
        self.client = self.app.test_client()

    def submit_body(self, image: bytes, content_type: str | None, **query: Any) -> TestResponse:
        return self.client.post("/jobs", data=image, content_type=content_type, query_string=query)

    def submit_form(self, image: bytes, *, filename: str = "a.png", **fields: str) -> TestResponse:
        return self.client.post("/jobs", data={"image": (BytesIO(image), filename), **fields})

    def submit_json(self, image: bytes, **fields: Any) -> TestResponse:
        return self.client.post("/jobs", json={"base64": b64encode(image).decode(), **fields})


class DescribedClient(FlaskClient):
    """Fails if an answer contradicts the OpenAPI description."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            _check_problem(response)
        operation = _operation(self.application, response)
        if operation is not None:
            _check_described(response, operation["responses"])
        return response


def _check_problem(response: TestResponse) -> None:
    assert response.content_type == PROBLEM_TYPE
    problem = json.loads(response.data)
    ProblemView.model_validate(problem)
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:darkroom:problem:")
    assert problem["title"]
    assert problem["detail"]


def _operation(app: Flask, response: TestResponse) -> dict[str, Any] | None:
    request = response.request
    try:
        rule, _ = app.url_map.bind("").match(request.path, request.method, return_rule=True)
    except HTTPException:
        return None
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
    found: dict[str, Any] | None = _described()["paths"].get(path, {}).get(request.method.lower())
    return found


@cache
def _described() -> dict[str, Any]:
    return describe(ApiSettings(_env_prefix=_NO_PREFIX))


def _check_described(response: TestResponse, described: dict[str, Any]) -> None:
    status = "default" if response.status_code == 500 else str(response.status_code)
    if "content" not in described[status]:
        assert response.data == b""
        assert "Content-Type" not in response.headers
        return
    schema = described[status]["content"][response.content_type]["schema"]
    if "$ref" in schema:
        view = VIEWS[schema["$ref"].rpartition("/")[2]]
        answer = json.loads(response.data)
        # There and back, so that a member that the schema lacks is noticed.
        assert as_json(view.model_validate(answer)) == answer
