"""A submission as JSON: an image of megabytes as text, and little else.

A parser would turn all of it into objects, some of them fifty times as large as their text. So
the text of the image is cut out before parsing, and the rest must be small.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from api.jobs.payload.base64_text import decoded
from api.jobs.payload.body import PIECE_BYTES, rewrite
from api.jobs.schemas import JobOptions, JsonSubmission
from api.problems import ProblemError, invalid_fields
from common.problems import answers

MAX_OTHER_BYTES: Final = 65_536

# Where the string of a member `base64` begins, each character of the name as it is or escaped. In
# JSON this occurs nowhere else: within a string the quotes would be escaped themselves.
_NAME: Final = "".join(rf"(?:{one}|\\u00{ord(one):x})" for one in "base64")
_BEGINNING: Final = re.compile(rf'(?<!\\)"{_NAME}"\s*:\s*"'.encode())
# A data: URL may have a few, in its parameters.
_MOST_ESCAPED_QUOTES: Final = 100
_LONGEST_RUN_OF_BACKSLASHES: Final = 64
_LONGEST_ESCAPE: Final = len(r"\u0041")


class _Span(NamedTuple):
    start: int = 0
    end: int = 0

    @property
    def size(self) -> int:
        return self.end - self.start


def read_submission(
    body: BytesIO, *, max_other_bytes: int = MAX_OTHER_BYTES
) -> tuple[bytes, JobOptions]:
    """Return the image and the options; *body* is consumed.

    Both equal the result of parsing the whole body.

    Args:
        body: The JSON.
        max_other_bytes: The largest size of the rest.

    Raises:
        ProblemError: 400, 413 or 422, with what is wrong.
    """
    if len(body.getvalue()) > max_other_bytes:
        return _read_large(body, max_other_bytes)
    submission = _parse(body.getvalue())
    alone = BytesIO(submission.base64.encode())
    return _image(alone, lambda whole: iter([bytes(whole)])), submission.options()


def _read_large(body: BytesIO, max_other_bytes: int) -> tuple[bytes, JobOptions]:
    text = _longest_text(body.getvalue(), max_other_bytes)
    if len(body.getvalue()) - text.size > max_other_bytes:
        raise _too_large(max_other_bytes)
    stand_in = secrets.token_hex()
    submission = _parse(_replace(text, body.getvalue(), stand_in.encode()))
    if submission.base64 != stand_in:  # the long text belongs to something else
        raise _too_large(max_other_bytes)
    return _image(body, lambda whole: _unescaped(whole, text)), submission.options()


def _longest_text(body: bytes, beginning_bytes: int) -> _Span:
    """Return where the longest text is among those that may be the image's."""
    found = (
        _Span(match.end(), _end_of_string(body, match.end()))
        for match in _BEGINNING.finditer(body, 0, beginning_bytes)
    )
    return max(found, key=lambda span: span.size, default=_Span())


def _end_of_string(body: bytes, start: int) -> int:
    """Return where the quote is that ends the string; *start* if there is none."""
    end = start - 1
    for _ in range(_MOST_ESCAPED_QUOTES):
        end = body.find(b'"', end + 1)
        if end < 0:
            return start
        before = body[max(start, end - _LONGEST_RUN_OF_BACKSLASHES) : end]
        backslashes = len(before) - len(before.rstrip(b"\\"))
        if backslashes % 2 == 0:
            return end
    return start


def _replace(text: _Span, body: bytes, stand_in: bytes) -> bytes:
    return body[: text.start] + stand_in + body[text.end :]


def _parse(text: bytes) -> JsonSubmission:
    try:
        return JsonSubmission.model_validate_json(text, strict=True)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise _broken(first["msg"]) from exc
        raise invalid_fields(exc) from exc


def _image(body: BytesIO, text_of: Callable[[memoryview], Iterator[bytes]]) -> bytes:
    try:
        return rewrite(body, lambda whole: decoded(text_of(whole)))
    except ValueError as exc:
        raise ProblemError(
            answers.BASE64_BROKEN,
            f"The member `base64` cannot be decoded: {exc}.",
        ) from exc


def _unescaped(body: memoryview, text: _Span) -> Iterator[bytes]:
    start = text.start
    while start < text.end:
        piece = bytes(body[start : min(start + PIECE_BYTES, text.end)])
        if start + PIECE_BYTES < text.end:
            # An escape may go on in the next piece. One of a backslash may be cut in two here, and
            # is refused then; base64 has none.
            cut = piece.rfind(b"\\", -_LONGEST_ESCAPE)
            piece = piece[:cut] if cut > 0 else piece
        start += len(piece)
        try:
            yield str(from_json(b'"%b"' % piece)).encode()
        except ValueError as exc:
            raise _broken("The string of the member `base64` is not valid JSON.") from exc


def _broken(detail: str) -> ProblemError:
    return ProblemError(answers.JSON_BROKEN, detail)


def _too_large(limit_bytes: int) -> ProblemError:
    return ProblemError(
        answers.JSON_TOO_LARGE,
        f"Beside the text of the image, the JSON may have at most {limit_bytes} bytes. Send the "
        "image as the string of the member `base64`, and leave out what is not described.",
        limit_bytes=limit_bytes,
    )
