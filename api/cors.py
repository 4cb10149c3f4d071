"""Allow scripts of other web pages to call the API from a browser (CORS, the Fetch standard)."""

from collections.abc import Sequence
from typing import Final

from flask import Flask
from flask_cors import CORS

from api.jobs import idempotency
from api.jobs.payload import content_coding

_METHODS: Final = ("GET", "POST", "DELETE")
_REQUEST_HEADERS: Final = ("Content-Type", content_coding.HEADER, idempotency.HEADER, "Prefer")
# Scripts see only these of our headers.
_ANSWER_HEADERS: Final = (
    "Location",
    "Retry-After",
    "Preference-Applied",
    "X-Job-Id",
    idempotency.REPLAYED,
)
_PREFLIGHT_LASTS_S: Final = 600


def allow(app: Flask, origins: Sequence[str]) -> None:
    """Let scripts of *origins* call *app*, which needs no cookies of theirs; none by default."""
    if origins:
        CORS(
            app,
            origins=list(origins),
            methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_ANSWER_HEADERS,
            max_age=_PREFLIGHT_LASTS_S,
            send_wildcard=True,
        )
