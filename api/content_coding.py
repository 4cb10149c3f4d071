"""Request bodies that come compressed: ``Content-Encoding`` (RFC 9110, 8.4)."""

import zlib
from http import HTTPStatus
from io import BytesIO
from typing import Final

from flask import Request

from api.problems import ProblemError, body_too_large

HEADER: Final = "Content-Encoding"
ACCEPTED: Final = "gzip"

_GZIP: Final = {"gzip", "x-gzip"}  # RFC 9110, 8.4.1.3: a recipient takes both for the same
_IDENTITY: Final = {"", "identity"}
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


def decode_body(request: Request, *, limit_bytes: int) -> None:
    """Replace the body of *request* by what it was before it was compressed.

    To be called before anything reads the body.

    Raises:
        ProblemError: The coding is not accepted (415), the body is not in that coding (400), or
            it has more than *limit_bytes* once it is decompressed (413).
    """
    coding = request.headers.get(HEADER, "").strip().lower()
    if coding in _IDENTITY:
        return
    if coding not in _GZIP:
        raise _not_accepted(coding)
    body = _decompressed(request.get_data(cache=False), limit_bytes)
    request.environ["wsgi.input"] = BytesIO(body)
    request.environ["CONTENT_LENGTH"] = str(len(body))
    # Werkzeug has read the old body, and keeps the stream that it came from.
    request.__dict__.pop("stream", None)


def _decompressed(body: bytes, limit_bytes: int) -> bytes:
    """Decompress one gzip member, and never more than *limit_bytes*.

    Further members are refused: a body has room for half a million empty ones.
    """
    member = zlib.decompressobj(_GZIP_WINDOW)
    try:
        decompressed = member.decompress(body, limit_bytes + 1)
    except zlib.error as exc:
        raise _broken("The body is not in the gzip format.") from exc
    if len(decompressed) > limit_bytes:
        raise body_too_large(limit_bytes)
    if not member.eof:
        raise _broken("The gzip body is incomplete.")
    if member.unused_data:
        raise _broken("The body goes on after the first gzip member. Send one member.")
    return decompressed


def _broken(detail: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.BAD_REQUEST, "content-encoding-broken", "The body cannot be decompressed", detail
    )


def _not_accepted(coding: str) -> ProblemError:
    return ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "content-encoding-unsupported",
        "The content coding is not supported",
        f"The request has Content-Encoding {coding[:100]!r}. Send the body as it is, or with "
        f"Content-Encoding: {ACCEPTED}.",
        headers={"Accept-Encoding": ACCEPTED},  # RFC 7694 asks for it
    )
