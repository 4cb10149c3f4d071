"""Errors that end a request with problem details (RFC 9457)."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Response
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from common.problems import answers
from common.problems.types import HttpProblem

MEDIA_TYPE = "application/problem+json"
# There is space again when jobs expire or somebody frees some.
_FULL_RETRY_AFTER_S = 10
_MAX_ERRORS = 20
MAX_NAME_CHARACTERS = 100

# Instead of pydantic's words about Python.
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
    """Name the fields that are wrong, and what each may be."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return _invalid([(_name(one["loc"]), _in_words(one)) for one in found[:_MAX_ERRORS]])


def invalid_field(name: str, message: str) -> ProblemError:
    """Say what a wrong field may be."""
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
        f"A request body may have at most {limit_bytes} bytes, including after decompression.",
        limit_bytes=limit_bytes,
    )


def storage_full(what: str) -> ProblemError:
    """Say that there is no space, and *what* cannot be done because of that."""
    return ProblemError(
        answers.STORAGE_FULL,
        f"{what} Try again after the number of seconds in Retry-After.",
        headers={"Retry-After": str(_FULL_RETRY_AFTER_S)},
    )


def _name(location: tuple[int | str, ...]) -> str:
    # The name of an unknown field can be as long as the body.
    return ".".join(map(str, location))[:MAX_NAME_CHARACTERS] or "(all)"


def _in_words(error: ErrorDetails) -> str:
    return _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
