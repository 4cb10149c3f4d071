"""The description of the operations on jobs (OpenAPI)."""

from typing import Any, Final

from api.jobs import idempotency, waiting
from api.jobs.payload import content_coding
from api.jobs.schemas import FormOptions, FormSubmission, JobView, JsonSubmission
from api.openapi_parts import Description, json_answer, problem_answers, schema_of
from common.formats import FORMATS
from common.settings.api import ApiSettings

_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_JOB_ID: Final = [{"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}]
_KEY: Final = {
    "name": idempotency.HEADER,
    "in": "header",
    "description": "a key of yours, new for each submission: one that is repeated "
    "with its key gets the job of the first",
    "schema": {"type": "string", "maxLength": 255},
}

_LOCATION: Final = {
    "Location": {"description": "where the result will appear", "schema": {"type": "string"}}
}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}
}
_APPLIED: Final = {
    "Preference-Applied": {
        "description": "the preference that was honoured; absent if too many requests waited",
        "schema": {"type": "string"},
    }
}
_REPLAYED: Final = {
    idempotency.REPLAYED: {
        "description": "`true` where an earlier submission with this key made the job",
        "schema": {"type": "string"},
    }
}


def describe_jobs(settings: ApiSettings) -> Description:
    """Describe the paths, with the limits of *settings*."""
    return {
        "/jobs": {"post": _submit(settings)},
        "/jobs/{job_id}": {"get": _show(settings), "delete": _remove()},
        "/jobs/{job_id}/retry": {"post": _retry()},
    }


def _submit(settings: ApiSettings) -> Description:
    return {
        "operationId": "submitJob",
        "summary": "Hand in an image",
        "description": (
            f"At most {settings.max_image_bytes} bytes and {settings.max_image_pixels} pixels; "
            f"{', '.join(FORMATS)}. Options stand in the query, or in the fields of a form or of "
            "JSON; one that stands in both must be the same. The body may be compressed "
            f"(`Content-Encoding: {content_coding.ACCEPTED}`)."
        ),
        "parameters": [_KEY, _prefer(settings), _wait(settings), *_options_in_query()],
        "requestBody": {"required": True, "content": _forms_of_submission()},
        "responses": {
            "200": json_answer(
                "The job, which has ended: after a wait, or before a repeated submission", JobView
            )
            | {"headers": _LOCATION | _APPLIED | _REPLAYED},
            "202": json_answer("The job, accepted and recorded", JobView)
            | {"headers": _LOCATION | _RETRY_AFTER | _APPLIED | _REPLAYED},
        }
        | problem_answers(400, 413, 415, 422, 503),
    }


def _forms_of_submission() -> Description:
    return {
        "multipart/form-data": {
            "schema": schema_of(FormSubmission),
            "encoding": {"metadata": {"contentType": "application/json"}},
        },
        "image/*": _BYTES,
        "application/octet-stream": _BYTES,
        "application/json": {"schema": schema_of(JsonSubmission)},
    }


def _show(settings: ApiSettings) -> Description:
    return {
        "operationId": "showJob",
        "summary": "One job, with its result once it has one",
        "parameters": [*_JOB_ID, _wait(settings), _prefer(settings)],
        "responses": {
            "200": json_answer("The job; while it is unfinished with Retry-After", JobView)
            | {"headers": _RETRY_AFTER | _APPLIED}
        }
        | problem_answers(404, 422, 503),
    }


def _remove() -> Description:
    return {
        "operationId": "removeJob",
        "summary": "Cancel a job, or delete one that has ended",
        "description": (
            "A cancelled job keeps its record for the time of retention, and loses its image at "
            "once. A second request deletes the record too."
        ),
        "parameters": _JOB_ID,
        "responses": {
            "200": json_answer("The job, cancelled", JobView),
            "204": {"description": "It had ended; it is deleted, and so is its image"},
        }
        | problem_answers(404, 503),
    }


def _retry() -> Description:
    return {
        "operationId": "retryJob",
        "summary": "A failed job again, under the same id",
        "parameters": _JOB_ID,
        "responses": {
            "202": json_answer("The job, waiting again", JobView)
            | {"headers": _LOCATION | _RETRY_AFTER}
        }
        | problem_answers(404, 409, 503),
    }


def _wait(settings: ApiSettings) -> Description:
    return {
        "name": waiting.PREFERENCE,
        "in": "query",
        "description": "answer once the job has ended, or after this many seconds; at once if "
        "too many requests wait already",
        "schema": {"type": "integer", "minimum": 0, "maximum": settings.max_wait_s},
    }


def _prefer(settings: ApiSettings) -> Description:
    return {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=n`, as in RFC 7240: answer once the job has ended, or after n "
        f"seconds, at most {settings.longest_wait_s}",
        "schema": {"type": "string", "examples": ["wait=10"]},
    }


def _options_in_query() -> list[Description]:
    options: dict[str, Any] = FormOptions.model_json_schema()["properties"]
    return [_option(name, schema) for name, schema in options.items()]


def _option(name: str, schema: dict[str, Any]) -> Description:
    described = {"name": name, "in": "query", "description": schema["description"]}
    if schema.get("type") == "object":  # in a query, as JSON
        return described | {"content": {"application/json": {"schema": schema}}}
    if "anyOf" in schema:  # or null, which a query cannot express
        return described | {"schema": schema["anyOf"][0]}
    # Generated clients send defaults with each request, which would contradict the body.
    return described | {"schema": {k: v for k, v in schema.items() if k != "default"}}
