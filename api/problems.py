"""Errors as problem details (RFC 9457), on every path."""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, request
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from common.errors import (
    StoreForbiddenError,
    StoreFullError,
    StoreRefusedError,
    StoreUnavailableError,
    UnreadableRecordError,
)
from common.intake import RefusedImageError
from common.problems import answers
from common.problems.types import HttpProblem, of_http

log = structlog.stdlib.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
_STORE_RETRY_AFTER_S = 2
# Another version must be started first.
_UNREADABLE_RETRY_AFTER_S = 30
# Space comes back when jobs expire, or when somebody makes some.
_FULL_RETRY_AFTER_S = 10
_REFUSED_RETRY_AFTER_S = 30
_MAX_ERRORS = 20
MAX_NAME_CHARACTERS = 100

# What a client has to know of its request while the store is away, by its method.
_NOTHING_READ = "Nothing was looked up or changed."
_UNANSWERED = {
    "POST": "Nothing confirms that the request was recorded. With an Idempotency-Key, sending it "
    "again cannot create a second job.",
    "DELETE": "Whether the job was removed is unknown. Sending the request again is safe.",
}

# Where werkzeug would speak of URLs that were entered manually.
_HTTP_WORDS: dict[int, Callable[[], str]] = {
    400: lambda: "The server cannot read this request. GET /openapi.json describes what it takes.",
    404: lambda: f"There is nothing at {_shown_path()}. GET /openapi.json lists all paths.",
    405: lambda: (
        f"{_shown_path()} does not take {request.method}. The header Allow lists what it takes."
    ),
}

# Where pydantic speaks of Python.
_WORDS = {
    "extra_forbidden": "there is no such field",
    "dict_type": "must be an object",
    "model_type": "must be an object",
}


class ProblemError(Exception):
    """Ends a request with a problem.

    Args:
        problem: The problem type.
        detail: What happened here, and what the client can do about it.
        headers: Further headers, such as ``Retry-After``.
        members: Further members of the problem, for programs.
    """

    def __init__(
        self,
        problem: HttpProblem,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = problem.status
        self.headers = headers or {}
        self.document = {
            "type": problem.type,
            "title": problem.title,
            "status": problem.status.value,
            "detail": detail,
            **members,
        }

    def response(self) -> Response:
        return Response(
            json.dumps(self.document, allow_nan=False),
            status=self.status.value,
            content_type=MEDIA_TYPE,
            headers=self.headers,
        )


def invalid_fields(error: ValidationError) -> ProblemError:
    """Say which fields are wrong, and what each may be."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return _invalid([(_name(one["loc"]), _in_words(one)) for one in found[:_MAX_ERRORS]])


def invalid_field(name: str, message: str) -> ProblemError:
    """Say what the one field that is wrong may be."""
    return _invalid([(name, message)])


def _invalid(messages: Iterable[tuple[str, str]]) -> ProblemError:
    errors = [{"field": name, "message": message} for name, message in messages]
    return ProblemError(
        answers.INVALID_FIELDS,
        "; ".join(f"{one['field']}: {one['message']}" for one in errors),
        errors=errors,
    )


def body_too_large(limit_bytes: int) -> ProblemError:
    """Say how large a body may be, once it is decompressed."""
    return ProblemError(
        answers.BODY_TOO_LARGE,
        f"A request body may have at most {limit_bytes} bytes, also once it is decompressed.",
        limit_bytes=limit_bytes,
    )


def storage_full(what: str) -> ProblemError:
    """Say that there is no space to write to, and *what* that keeps from being done."""
    return ProblemError(
        answers.STORAGE_FULL,
        f"{what} Try again after the number of seconds in Retry-After.",
        headers={"Retry-After": str(_FULL_RETRY_AFTER_S)},
    )


def register(app: Flask) -> None:
    """Answer every error of *app* with a problem."""
    app.register_error_handler(ProblemError, ProblemError.response)
    app.register_error_handler(RefusedImageError, _image_refused)
    app.register_error_handler(StoreUnavailableError, _store_unavailable)
    app.register_error_handler(StoreFullError, _store_full)
    app.register_error_handler(UnreadableRecordError, _record_unreadable)
    app.register_error_handler(StoreRefusedError, _store_refused)
    app.register_error_handler(
        RequestEntityTooLarge,
        lambda _: body_too_large(app.config["MAX_CONTENT_LENGTH"]).response(),
    )
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _name(location: tuple[int | str, ...]) -> str:
    # The name of an unknown field can be as long as the body.
    return ".".join(map(str, location))[:MAX_NAME_CHARACTERS] or "(all)"


def _in_words(error: ErrorDetails) -> str:
    return _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")


def _image_refused(error: RefusedImageError) -> Response:
    return ProblemError(error.problem, error.detail, **error.members).response()


def _store_unavailable(error: StoreUnavailableError) -> Response:
    log.error("the store is unavailable", error=str(error))
    return ProblemError(
        answers.STORE_UNAVAILABLE,
        f"The database does not answer. {_UNANSWERED.get(request.method, _NOTHING_READ)} "
        "Try again after the number of seconds in Retry-After.",
        headers={"Retry-After": str(_STORE_RETRY_AFTER_S)},
    ).response()


def _store_full(error: StoreFullError) -> Response:
    log.error("the store is full", error=str(error))
    return storage_full("The database has no space to record this request.").response()


def _record_unreadable(_: UnreadableRecordError) -> Response:
    # Logged where it was read, once: clients ask again and again.
    return ProblemError(
        answers.JOB_UNREADABLE,
        "The job exists, but this version of the service cannot read its record: a later version "
        "wrote it, or it is damaged. Nothing was changed. Try again once the later version runs; "
        "the log of the service says what is wrong with the record.",
        headers={"Retry-After": str(_UNREADABLE_RETRY_AFTER_S)},
    ).response()


def _store_refused(error: StoreRefusedError) -> Response:
    log.error("the store refused", error=str(error))
    reason = (
        "The service is not allowed to do this in its database"
        if isinstance(error, StoreForbiddenError)
        else "The database refused what the service asked of it"
    )
    return ProblemError(
        answers.STORE_REFUSED,
        f"{reason}. Sending the request again helps only once the operator has corrected that; "
        "the log of the service has the reason.",
        headers={"Retry-After": str(_REFUSED_RETRY_AFTER_S)},
    ).response()


def _http_error(error: HTTPException) -> Response:
    """Keep the status and the headers (``Allow``, say) of an error of HTTP itself."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    kept = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return ProblemError(
        of_http(status),
        _HTTP_WORDS[status]() if status in _HTTP_WORDS else status.description,
        headers=kept,
    ).response()


def _shown_path() -> str:
    return ascii(request.path[:MAX_NAME_CHARACTERS])[1:-1]


def _unexpected(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return ProblemError(
        answers.INTERNAL_SERVER_ERROR,
        "This is a fault of the service, not of the request; its log has more.",
    ).response()
