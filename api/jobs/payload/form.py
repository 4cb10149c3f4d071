"""The parts of a form (``multipart/form-data``, RFC 7578), found where they lie in the body.

Werkzeug's parser copies all files, and searches text that looks like the boundary again and again.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final, NamedTuple

from werkzeug.http import parse_options_header

from api.problems import ProblemError
from common.problems import answers

# A form has an image and a few fields; more parts only cost time.
MAX_PARTS: Final = 20
MAX_TEXT_BYTES: Final = 65_536
_MAX_HEADER_BYTES: Final = 4096
# Lines within a file that begin like the boundary: clients choose one that the file lacks.
_MOST_LOOK_ALIKES: Final = 1000

# The standard has CRLF; some clients send one half of it.
_LINE_ENDS: Final = (b"\n", b"\r")
_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINES: Final = re.compile(r"(?:\r\n|\n|\r)(?![ \t])")  # such a line goes on
_AFTER_BOUNDARY: Final = re.compile(rb"(?P<last>--)|[ \t]{0,100}(?=[\r\n])")
_ADVICE: Final = "A client library for multipart/form-data writes forms that can be read."
_CHARSETS: Final = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the position of its content, and its header.

    Args:
        name: The name of its field.
        is_file: Whether it has a file name.
        charset: The charset of its text.
        start: Where its content begins in the body.
        end: Where that ends.
    """

    name: str
    is_file: bool
    charset: str
    start: int
    end: int


class _Delimiter(NamedTuple):
    start: int  # without the line break before it
    end: int  # without the line break after it
    is_last: bool


def find_parts(body: bytes, boundary: str) -> list[Part]:
    """Return the parts of *body*.

    Raises:
        ProblemError: It is no form (400), or has too many parts or too much text (413).
    """
    if not boundary:
        raise _broken("Its Content-Type names no boundary.")
    found = list(islice(_delimiters(body, boundary), MAX_PARTS + 2))
    if not found:
        raise _broken("The boundary that its Content-Type names is not in it.")
    if len(found) > MAX_PARTS + 1:
        raise _too_large()
    if not found[-1].is_last:
        raise _broken("It ends before its last boundary.")
    parts = [_part(body, one, following) for one, following in pairwise(found)]
    if sum(part.end - part.start for part in parts if not part.is_file) > MAX_TEXT_BYTES:
        raise _too_large()
    return parts


def _delimiters(body: bytes, boundary: str) -> Iterator[_Delimiter]:
    text = b"--" + boundary.encode("latin-1", "replace")
    start, is_first = -1, True
    for _ in range(MAX_PARTS + _MOST_LOOK_ALIKES):
        start = body.find(text, start + 1)
        if start < 0:
            return
        after = _AFTER_BOUNDARY.match(body, start + len(text))
        # The first may follow anything: some clients begin with an odd line.
        if after and (is_first or body[start - 1 : start] in _LINE_ENDS):
            yield _Delimiter(start, after.end(), is_last=after["last"] is not None)
            if after["last"]:
                return
            is_first = False
    raise _broken(f"More than {_MOST_LOOK_ALIKES} places in it look like its boundary.")


def _part(body: bytes, before: _Delimiter, after: _Delimiter) -> Part:
    blank = _BLANK_LINE.search(body, before.end, min(after.start, before.end + _MAX_HEADER_BYTES))
    if blank is None:
        raise _broken(f"No blank line ends the header of a part within {_MAX_HEADER_BYTES} bytes.")
    header = _header(body[before.end : blank.start()])
    disposition, about = parse_options_header(header.get("content-disposition"))
    if not disposition:
        raise _broken("A part has no Content-Disposition.")
    _, of_type = parse_options_header(header.get("content-type"))
    charset = of_type.get("charset", "").lower()
    return Part(
        name=about.get("name", ""),
        is_file="filename" in about,
        charset=charset if charset in _CHARSETS else "utf-8",
        start=blank.end(),
        end=max(blank.end(), after.start - _line_break_before(body, after.start)),
    )


def _header(text: bytes) -> dict[str, str]:
    """Return the fields by their lower-case names; of two with one name, the first."""
    lines = [line.partition(":") for line in _LINES.split(text.decode("utf-8", "replace"))]
    return {name.strip().lower(): value.strip() for name, _, value in reversed(lines)}


def _line_break_before(body: bytes, offset: int) -> int:
    return 2 if body[offset - 2 : offset] == b"\r\n" else 1


def _broken(detail: str) -> ProblemError:
    return ProblemError(answers.FORM_BROKEN, f"{detail} {_ADVICE}")


def _too_large() -> ProblemError:
    return ProblemError(
        answers.FORM_TOO_LARGE,
        f"A form may have at most {MAX_PARTS} parts, and {MAX_TEXT_BYTES} bytes in parts that are "
        "no files. Send the image as a file: with a file name.",
        limit_parts=MAX_PARTS,
        limit_bytes=MAX_TEXT_BYTES,
    )
