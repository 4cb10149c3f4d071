"""The description of the API is valid, whole, and made of the code's own limits.

That answers are as described is checked at every request of every test: tests/service.py.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.service import Api

# The page.
UNDESCRIBED = {"/", "/static/<path:filename>"}


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    response = api.client.get("/openapi.json")
    assert response.content_type == "application/json"
    assert response.json is not None
    found: dict[str, Any] = response.json
    return found


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_description_is_valid_openapi(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


def test_the_form_that_is_described_can_be_filled_in(document: dict[str, Any]) -> None:
    form = document["components"]["schemas"]["FormSubmission"]

    assert form["required"] == ["image"]
    assert set(form["properties"]) == {"image", "model", "top_k", "metadata"}
    assert "allOf" not in form


def test_an_option_in_the_query_has_no_default_that_would_contradict_the_body(
    document: dict[str, Any],
) -> None:
    parameters = document["paths"]["/jobs"]["post"]["parameters"]

    assert not any("default" in one.get("schema", {}) for one in parameters)


def test_every_reference_leads_to_a_schema(document: dict[str, Any]) -> None:
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    assert set(references(document)) == schemas


def test_every_route_is_described_and_nothing_else(api: Api, document: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in api.app.url_map.iter_rules()
        if rule.rule not in UNDESCRIBED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    described = {(path, method) for path, item in document["paths"].items() for method in item}

    assert described == routes


def test_every_operation_has_an_id_of_its_own_and_a_summary(document: dict[str, Any]) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]

    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)


def test_every_error_that_is_described_is_a_problem(document: dict[str, Any]) -> None:
    answers = [
        answer
        for item in document["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    ]

    assert all(set(answer["content"]) == {"application/problem+json"} for answer in answers)


def test_every_operation_says_that_there_may_be_too_many_requests(document: dict[str, Any]) -> None:
    operations = [operation for item in document["paths"].values() for operation in item.values()]

    assert all("429" in operation["responses"] for operation in operations)


def test_the_three_forms_of_a_submission_are_described(document: dict[str, Any]) -> None:
    content = document["paths"]["/jobs"]["post"]["requestBody"]["content"]

    assert {"multipart/form-data", "image/*", "application/json"} <= set(content)


def test_limits_are_those_of_the_settings() -> None:
    api = Api(max_image_bytes=12_345, max_image_pixels=678_901)

    document = api.client.get("/openapi.json").json

    assert document is not None
    assert "12345 bytes" in document["paths"]["/jobs"]["post"]["description"]
    assert "678901 pixels" in document["paths"]["/jobs"]["post"]["description"]


def test_bounds_of_the_options_are_described(document: dict[str, Any]) -> None:
    top_k = document["components"]["schemas"]["JsonSubmission"]["properties"]["top_k"]

    assert (top_k["minimum"], top_k["maximum"], top_k["default"]) == (1, 100, 5)
