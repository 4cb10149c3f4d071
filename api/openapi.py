"""The description of the API (OpenAPI 3.1), made from the schemas that the code validates with."""

from functools import cache
from importlib.metadata import version
from typing import Any

from flask import Blueprint, Response, jsonify
from openapi_pydantic import OpenAPI
from openapi_pydantic.util import PydanticSchema, construct_open_api_with_schema_class
from pydantic import BaseModel

from api import content_coding, idempotency, waiting
from api.problems import MEDIA_TYPE
from api.schemas import (
    FormOptions,
    FormSubmission,
    HealthView,
    JobView,
    JsonSubmission,
    ModelList,
    ProblemView,
    ReadinessView,
)
from common.formats import FORMATS
from common.problems import answers
from common.settings import Settings


def create_blueprint(settings: Settings) -> Blueprint:
    """Make the view of the description."""
    openapi = Blueprint("openapi", __name__)

    @openapi.get("/openapi.json")
    def show() -> Response:
        """Describe the API."""
        return jsonify(_cached(settings))

    return openapi


def describe(settings: Settings) -> dict[str, Any]:
    """Build the description as a JSON object."""
    document = OpenAPI.model_validate(
        {
            "openapi": "3.1.1",
            "info": {
                "title": "Darkroom",
                "version": version("darkroom"),
                "description": "Hand in an image, take a ticket, come back for what is in it.",
            },
            "paths": {
                "/jobs": {"post": _submit(settings)},
                "/jobs/{job_id}": {"get": _show_job(settings), "delete": _remove_job()},
                "/jobs/{job_id}/retry": {"post": _retry_job()},
                "/models": {
                    "get": {
                        "operationId": "listModels",
                        "summary": "What can be asked for",
                        "responses": {"200": _json("The models", ModelList)} | _problems(503),
                    }
                },
                "/healthz": {
                    "get": {
                        "operationId": "isAlive",
                        "summary": "Liveness of the process that answers",
                        "responses": {"200": _json("It is alive", HealthView)} | _problems(),
                    }
                },
                "/readyz": {
                    "get": {
                        "operationId": "isReady",
                        "summary": "Whether a job handed in now would be classified soon",
                        "responses": {"200": _json("It is ready", ReadinessView)} | _problems(503),
                    }
                },
                "/openapi.json": {
                    "get": {
                        "operationId": "describeApi",
                        "summary": "This description",
                        "responses": {
                            "200": {
                                "description": "OpenAPI 3.1",
                                "content": {"application/json": {"schema": {"type": "object"}}},
                            }
                        }
                        | _problems(),
                    }
                },
            },
        }
    )
    # Unset members keep their defaults, some of which the standard forbids (`allowEmptyValue`
    # of a header).
    return construct_open_api_with_schema_class(document).model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True
    )


_cached = cache(describe)


def _submit(settings: Settings) -> dict[str, Any]:
    return {
        "operationId": "submitJob",
        "summary": "Hand in an image",
        "description": (
            f"At most {settings.max_image_bytes} bytes and {settings.max_image_pixels} pixels; "
            f"{', '.join(FORMATS)}. Options stand in the query, or in the fields of a form or of "
            "JSON; one that stands in both must be the same. The body may be compressed "
            f"(`Content-Encoding: {content_coding.ACCEPTED}`)."
        ),
        "parameters": [
            {
                "name": idempotency.HEADER,
                "in": "header",
                "description": "a key of yours, new for each submission: one that is repeated "
                "with its key gets the job of the first",
                "schema": {"type": "string", "maxLength": 255},
            },
            _prefer(settings),
            _wait(settings),
            *_OPTIONS_IN_QUERY,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": _schema(FormSubmission),
                    "encoding": {"metadata": {"contentType": "application/json"}},
                },
                "image/*": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {"schema": _schema(JsonSubmission)},
            },
        },
        "responses": {
            "200": _json(
                "The job, which has ended: after a wait, or before a repeated submission", JobView
            )
            | {"headers": _LOCATION | _APPLIED | _REPLAYED},
            "202": _json("The job, accepted and recorded", JobView)
            | {"headers": _LOCATION | _RETRY_AFTER | _APPLIED | _REPLAYED},
        }
        | _problems(400, 413, 415, 422, 503),
    }


def _show_job(settings: Settings) -> dict[str, Any]:
    return {
        "operationId": "showJob",
        "summary": "One job, with its result once it has one",
        "parameters": [
            *_JOB_ID,
            _wait(settings),
            _prefer(settings),
        ],
        "responses": {
            "200": _json("The job; while it is unfinished with Retry-After", JobView)
            | {"headers": _RETRY_AFTER | _APPLIED}
        }
        | _problems(404, 422, 503),
    }


def _remove_job() -> dict[str, Any]:
    return {
        "operationId": "removeJob",
        "summary": "Cancel a job, or delete one that has ended",
        "description": (
            "A cancelled job keeps its record for the time of retention, and loses its image at "
            "once. A second request deletes the record too."
        ),
        "parameters": _JOB_ID,
        "responses": {
            "200": _json("The job, cancelled", JobView),
            "204": {"description": "It had ended; it is deleted, and so is its image"},
        }
        | _problems(404, 503),
    }


def _retry_job() -> dict[str, Any]:
    return {
        "operationId": "retryJob",
        "summary": "A failed job again, under the same id",
        "parameters": _JOB_ID,
        "responses": {
            "202": _json("The job, waiting again", JobView) | {"headers": _LOCATION | _RETRY_AFTER}
        }
        | _problems(404, 409, 503),
    }


def _wait(settings: Settings) -> dict[str, Any]:
    return {
        "name": waiting.PREFERENCE,
        "in": "query",
        "description": "answer once the job has ended, or after this many seconds; at once if "
        "too many requests wait already",
        "schema": {"type": "integer", "minimum": 0, "maximum": settings.max_wait_s},
    }


def _prefer(settings: Settings) -> dict[str, Any]:
    return {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=n`, as in RFC 7240: answer once the job has ended, or after n "
        f"seconds, at most {settings.longest_wait_s}",
        "schema": {"type": "string", "examples": ["wait=10"]},
    }


def _option(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    described = {"name": name, "in": "query", "description": schema["description"]}
    if schema.get("type") == "object":  # in a query, as JSON
        return described | {"content": {"application/json": {"schema": schema}}}
    if "anyOf" in schema:  # or null, which a query cannot say
        return described | {"schema": schema["anyOf"][0]}
    # Generated clients send a default with each request, and it would contradict the body.
    return described | {"schema": {k: v for k, v in schema.items() if k != "default"}}


_OPTIONS_IN_QUERY = [
    _option(name, schema) for name, schema in FormOptions.model_json_schema()["properties"].items()
]

_JOB_ID = [{"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}]

_LOCATION = {
    "Location": {"description": "where the result will appear", "schema": {"type": "string"}}
}
_RETRY_AFTER = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
_APPLIED = {
    "Preference-Applied": {
        "description": "the preference that was honoured; absent if too many requests waited",
        "schema": {"type": "string"},
    }
}

_REPLAYED = {
    idempotency.REPLAYED: {
        "description": "`true` where an earlier submission with this key made the job",
        "schema": {"type": "string"},
    }
}

_MEANINGS = {
    400: "The request cannot be read",
    404: answers.JOB_NOT_FOUND.title,
    409: "The job has not failed",
    413: "The image or the body is too large",
    415: "This is no image, or not in an accepted format or content coding",
    422: "A field or the image is not acceptable",
    429: "More requests a second than one address may send; Retry-After says when to go on",
    503: "Not now; Retry-After says when",
}


def _problems(*statuses: int) -> dict[str, Any]:
    # nginx limits them all.
    meanings = {str(status): _MEANINGS[status] for status in sorted((*statuses, 429))}
    return {
        status: {
            "description": meaning,
            "content": {MEDIA_TYPE: {"schema": _schema(ProblemView)}},
        }
        for status, meaning in (meanings | {"default": "Any other error"}).items()
    }


def _json(description: str, view: type[BaseModel]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": _schema(view)}},
    }


def _schema(view: type[BaseModel]) -> PydanticSchema[BaseModel]:
    return PydanticSchema(schema_class=view)
