"""Request bodies that come compressed: ``Content-Encoding`` (RFC 9110, 8.4)."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from flask import Request
from isal import isal_zlib  # decompresses twice as fast as zlib

from api.problems import ProblemError, body_too_large
from common.problems import answers

HEADER: Final = "Content-Encoding"
ACCEPTED: Final = "gzip"

Decode = Callable[[Iterator[bytes]], Iterator[bytes]]

_GZIP: Final = {"gzip", "x-gzip"}  # RFC 9110, 8.4.1.3: both names mean the same
_IDENTITY: Final = {"", "identity"}
_GZIP_WINDOW: Final = 16 + isal_zlib.MAX_WBITS
_PIECE_BYTES: Final = 65_536
# The stubs have the class for one of its objects.
_GzipError: type[Exception] = isal_zlib.error  # type: ignore[assignment]

# Processor time. What compressors write takes 1.3 ns for each byte that goes in or out, so a
# machine of a third of that speed is still fast enough. Made of millions of empty blocks, as no
# compressor makes them, it would take 40.
_ALWAYS_ALLOWED_S: Final = 0.03
_ALLOWED_S_PER_BYTE: Final = 2e-9


def decoder(request: Request, *, limit_bytes: int) -> Decode:
    """Return the decoder for the body of *request*.

    Raises:
        ProblemError: The content coding is not accepted (415).
    """
    coding = request.headers.get(HEADER, "").strip().lower()
    if coding in _IDENTITY:
        return lambda pieces: pieces
    if coding not in _GZIP:
        raise _not_accepted(coding)
    return lambda pieces: _decompressed(pieces, limit_bytes)


def _decompressed(pieces: Iterator[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Decompress one gzip member, and never more than *limit_bytes*.

    Further members are refused: a body has room for half a million empty ones.
    """
    member = isal_zlib.decompressobj(_GZIP_WINDOW)
    taken = given = 0
    allow = _Allowance()
    for piece in pieces:
        taken += len(piece)
        for part in _parts(member, piece):
            given += len(part)
            allow.check(taken + given)
            if given > limit_bytes:
                raise body_too_large(limit_bytes)
            yield part
        if member.unused_data:
            raise _broken("The body continues after the first gzip member. Send one member.")
    if not member.eof:
        raise _broken("The gzip body is incomplete.")


def _parts(member: isal_zlib.Decompress, piece: bytes) -> Iterator[bytes]:
    """Decompress *piece* in parts."""
    part = b"x" * _PIECE_BYTES
    # After a full part there may be more.
    while (piece or len(part) == _PIECE_BYTES) and not member.eof:
        try:
            part = member.decompress(piece, _PIECE_BYTES)
        except _GzipError as exc:
            raise _broken("The body is not in the gzip format.") from exc
        piece = member.unconsumed_tail
        yield part


class _Allowance:
    """How long a body may take to decompress, from now on."""

    def __init__(self) -> None:
        self._started_s = time.thread_time()

    def check(self, size_bytes: int) -> None:
        """Raise a problem if *size_bytes*, in and out, have taken far longer than they should."""
        taken_s = time.thread_time() - self._started_s
        if taken_s > _ALWAYS_ALLOWED_S + _ALLOWED_S_PER_BYTE * size_bytes:
            raise ProblemError(
                answers.CONTENT_ENCODING_COSTLY,
                "Decompressing the body takes far more work than its size explains. Send it "
                "without Content-Encoding.",
            )


def _broken(detail: str) -> ProblemError:
    return ProblemError(answers.CONTENT_ENCODING_BROKEN, detail)


def _not_accepted(coding: str) -> ProblemError:
    return ProblemError(
        answers.CONTENT_ENCODING_UNSUPPORTED,
        f"The request has Content-Encoding {coding[:100]!r}. Send the body as it is, or with "
        f"Content-Encoding: {ACCEPTED}.",
        headers={"Accept-Encoding": ACCEPTED},  # RFC 7694 asks for it
    )
