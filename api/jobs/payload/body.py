"""The body of a request, once in memory: the image overwrites the body that it came in.

A body and the image inside it, side by side, would be twice the memory. So the body is kept in a
buffer that is written to, and in the end the buffer is the image.
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

from flask import Request

from api.jobs.payload.content_coding import decoder

# uWSGI keeps a buffer as large as the largest piece that is asked of it.
PIECE_BYTES: Final = 65_536


def read_body(request: Request, *, limit_bytes: int) -> BytesIO:
    """Read what the body of *request* was before it was compressed.

    Raises:
        ProblemError: The content coding is not accepted (415), the body is not in it (400), or
            it has more than *limit_bytes* (413).
    """
    decode = decoder(request, limit_bytes=limit_bytes)
    body = BytesIO()
    for piece in decode(iter(lambda: request.stream.read(PIECE_BYTES), b"")):
        body.write(piece)
    return body


def cut_out(body: BytesIO, start: int, end: int) -> bytes:
    """Return the bytes of *body* from *start* to *end*; *body* is consumed."""
    with body.getbuffer() as whole:
        whole[: end - start] = whole[start:end]
    return _first(end - start, body)


def rewrite(body: BytesIO, make: Callable[[memoryview], Iterator[bytes]]) -> bytes:
    """Return what *make* makes of *body*, which is consumed.

    Args:
        body: Copied if others hold its value, too.
        make: Yields pieces, and never more bytes than it has read by then.
    """
    size = 0
    with body.getbuffer() as whole:
        for piece in make(whole):
            whole[size : size + len(piece)] = piece
            size += len(piece)
    return _first(size, body)


def _first(size: int, body: BytesIO) -> bytes:
    body.truncate(size)
    return body.getvalue()
