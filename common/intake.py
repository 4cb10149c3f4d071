"""Accept or refuse an image by its header alone."""

import hashlib
from dataclasses import dataclass
from typing import Any

from common.errors import PermanentError
from common.formats import FORMATS
from common.headers.reading import Header, UnreadableHeaderError, read_header
from common.jobs import Image
from common.problems import answers
from common.problems.types import HttpProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """How large an accepted image may be."""

    bytes: int
    pixels: int


class RefusedImageError(PermanentError):
    """The image is not acceptable.

    Args:
        problem: The problem type.
        detail: What is wrong with this image.
        members: The limit that it exceeds, or what would be accepted, for programs.
    """

    def __init__(self, problem: HttpProblem, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.members = members


def accept(image: bytes, *, source: str, limits: ImageLimits) -> Image:
    """Check the size and the header of *image*, and describe it.

    The pixels are decoded in the engine, a process that may die.

    Raises:
        RefusedImageError: The image is empty, too large, or in no accepted format.
    """
    _check_bytes(len(image), limits)
    header = _header_of(image)
    _check_pixels(header, limits)
    return Image(
        sha256=hashlib.sha256(image).hexdigest(),
        bytes=len(image),
        format=header.format,
        width=header.width,
        height=header.height,
        source=source,
    )


def _check_bytes(size: int, limits: ImageLimits) -> None:
    if not size:
        raise RefusedImageError(answers.IMAGE_EMPTY, "The image has 0 bytes.")
    if size > limits.bytes:
        raise RefusedImageError(
            answers.IMAGE_TOO_LARGE,
            f"The image has {size} bytes; at most {limits.bytes} are allowed.",
            limit_bytes=limits.bytes,
        )


def _header_of(image: bytes) -> Header:
    try:
        return read_header(image)
    except UnreadableHeaderError as exc:
        raise RefusedImageError(
            answers.IMAGE_UNREADABLE,
            f"{exc} Accepted formats: {', '.join(FORMATS)}.",
            accepted=list(FORMATS),
        ) from exc


def _check_pixels(header: Header, limits: ImageLimits) -> None:
    pixels = header.width * header.height
    if pixels > limits.pixels:
        raise RefusedImageError(
            answers.IMAGE_TOO_MANY_PIXELS,
            f"The image has {header.width} x {header.height} = {pixels} pixels; "
            f"at most {limits.pixels} are allowed.",
            limit_pixels=limits.pixels,
        )
