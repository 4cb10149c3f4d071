"""The description of the API (OpenAPI 3.1), made from the schemas that the code validates with.

Each resource describes its own operations; this module assembles them.
"""

from functools import cache
from importlib.metadata import version
from typing import Any

from flask import Blueprint, Response, jsonify
from openapi_pydantic import OpenAPI
from openapi_pydantic.util import construct_open_api_with_schema_class

from api.health.operations import describe_health
from api.jobs.operations import describe_jobs
from api.models.operations import describe_models
from api.openapi_parts import Description, problem_answers
from api.samples.operations import describe_samples
from common.settings.api import ApiSettings


def create_blueprint(settings: ApiSettings) -> Blueprint:
    """Make the view of the description."""
    openapi = Blueprint("openapi", __name__)

    @openapi.get("/openapi.json")
    def show() -> Response:
        """Describe the API."""
        return jsonify(_cached(settings))

    return openapi


def describe(settings: ApiSettings) -> dict[str, Any]:
    """Build the description as a JSON object."""
    document = OpenAPI.model_validate(
        {
            "openapi": "3.1.1",
            "info": {
                "title": "Darkroom",
                "version": version("darkroom"),
                "description": "Submit an image, get the id of a job, and fetch its labels.",
            },
            "paths": {
                **describe_jobs(settings),
                **describe_models(),
                **describe_samples(),
                **describe_health(),
                "/openapi.json": {"get": _describe_api()},
            },
        }
    )
    # Unset members keep their defaults, some of which the standard forbids (`allowEmptyValue`
    # of a header).
    return construct_open_api_with_schema_class(document).model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True
    )


_cached = cache(describe)


def _describe_api() -> Description:
    return {
        "operationId": "describeApi",
        "summary": "Get this description",
        "responses": {
            "200": {
                "description": "OpenAPI 3.1",
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        }
        | problem_answers(),
    }
