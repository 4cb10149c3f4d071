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
    "description": "a key that you choose, new for each submission: repeating a "
    "submission with its key returns the first job",
    "schema": {"type": "string", "maxLength": 255},
}

_LOCATION: Final = {
    "Location": {"description": "the address of the job", "schema": {"type": "string"}}
}
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}
}
_APPLIED: Final = {
    "Preference-Applied": {
        "description": "the preference that was applied; absent if too many requests were waiting",
        "schema": {"type": "string"},
    }
}
_REPLAYED: Final = {
    idempotency.REPLAYED: {
        "description": "`true` if an earlier submission with this key created the job",
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
        "summary": "Submit an image",
        "description": (
            f"At most {settings.max_image_bytes} bytes and {settings.max_image_pixels} pixels; "
            f"{', '.join(FORMATS)}. Give options in the query, the form or the JSON; one in the "
            "query and in the body must have the same value. The body may be compressed "
            f"(`Content-Encoding: {content_coding.ACCEPTED}`)."
        ),
        "parameters": [_KEY, _prefer(settings), _wait(settings), *_options_in_query()],
        "requestBody": {"required": True, "content": _forms_of_submission()},
        "responses": {
            "200": json_answer(
                "The job, which has ended: during the wait, or before a repeated submission",
                JobView,
            )
            | {"headers": _LOCATION | _APPLIED | _REPLAYED},
            "202": json_answer("The accepted job", JobView)
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
        "summary": "Get a job, with its result if it is done",
        "parameters": [*_JOB_ID, _wait(settings), _prefer(settings)],
        "responses": {
            "200": json_answer("The job; with Retry-After while it is unfinished", JobView)
            | {"headers": _RETRY_AFTER | _APPLIED}
        }
        | problem_answers(404, 422, 503),
    }


def _remove() -> Description:
    return {
        "operationId": "removeJob",
        "summary": "Cancel an unfinished job, or delete a finished one",
        "description": (
            "The image of a cancelled job is deleted at once; its record is kept for the "
            "retention period. A second request deletes the record too."
        ),
        "parameters": _JOB_ID,
        "responses": {
            "200": json_answer("The cancelled job", JobView),
            "204": {"description": "The job had ended; it and its image are deleted"},
        }
        | problem_answers(404, 503),
    }


def _retry() -> Description:
    return {
        "operationId": "retryJob",
        "summary": "Retry a failed job under the same id, with a fresh set of attempts",
        "parameters": _JOB_ID,
        "responses": {
            "202": json_answer("The job, pending again", JobView)
            | {"headers": _LOCATION | _RETRY_AFTER}
        }
        | problem_answers(404, 409, 503),
    }


def _wait(settings: ApiSettings) -> Description:
    return {
        "name": waiting.PREFERENCE,
        "in": "query",
        "description": "answer when the job ends, or after this many seconds; at once if too "
        "many requests are waiting",
        "schema": {"type": "integer", "minimum": 0, "maximum": settings.max_wait_s},
    }


def _prefer(settings: ApiSettings) -> Description:
    return {
        "name": "Prefer",
        "in": "header",
        "description": "`wait=n`, as in RFC 7240: answer when the job ends, or after n "
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
