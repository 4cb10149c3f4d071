"""Answer every error with a problem, whatever raised it."""

from collections.abc import Callable
from http import HTTPStatus

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from api.problems import MAX_NAME_CHARACTERS, ProblemError, body_too_large, storage_full
from common.errors import (
    StoreForbiddenError,
    StoreFullError,
    StoreRefusedError,
    StoreUnavailableError,
    UnreadableRecordError,
)
from common.intake import RefusedImageError
from common.problems import answers
from common.problems.types import of_http

log = structlog.stdlib.get_logger(__name__)

_STORE_RETRY_AFTER_S = 2
# Another version must be started first.
_UNREADABLE_RETRY_AFTER_S = 30
_REFUSED_RETRY_AFTER_S = 30

# What a client must know about its request while the store is down, by method.
_NOTHING_READ = "Nothing was looked up or changed."
_UNANSWERED = {
    "POST": "Nothing confirms that the request was recorded. With an Idempotency-Key, sending it "
    "again cannot create a second job.",
    "DELETE": "Whether the job was removed is unknown. Sending the request again is safe.",
}

# Instead of werkzeug's text about URLs that were entered manually.
_HTTP_WORDS: dict[int, Callable[[], str]] = {
    400: lambda: "The server cannot read this request. GET /openapi.json describes valid requests.",
    404: lambda: f"There is nothing at {_shown_path()}. GET /openapi.json lists all paths.",
    405: lambda: (
        f"{_shown_path()} does not accept {request.method}. The header Allow lists what it accepts."
    ),
}


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
        "The database does not permit the service to do this"
        if isinstance(error, StoreForbiddenError)
        else "The database refused the operation"
    )
    return ProblemError(
        answers.STORE_REFUSED,
        f"{reason}. Sending the request again helps only after the operator has fixed this; "
        "the log of the service has the reason.",
        headers={"Retry-After": str(_REFUSED_RETRY_AFTER_S)},
    ).response()


def _http_error(error: HTTPException) -> Response:
    """Keep the status and headers (such as ``Allow``) of an HTTP error."""
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
        "This is an error in the service, not in the request; its log has details.",
    ).response()
