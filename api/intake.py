"""From bytes to an accepted image, by its header alone, or a problem that says why not."""

import hashlib
import warnings
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO

import PIL.Image

from api.problems import ProblemError
from common.formats import FORMATS
from common.jobs import Image

# Our own limit is checked below, for every format in the same way.
PIL.Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large an accepted image may be."""

    bytes: int
    pixels: int


def accept(image: bytes, *, source: str, limits: Limits) -> Image:
    """Check the size and the header of *image*, and describe it.

    The pixels are not decoded here: that is for the engine, a process that may die.

    Raises:
        ProblemError: The image is empty, too large, or in no accepted format.
    """
    if not image:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "image-empty", "The image is empty", "The image has 0 bytes."
        )
    if len(image) > limits.bytes:
        raise ProblemError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "image-too-large",
            "The image is too large",
            f"The image has {len(image)} bytes; at most {limits.bytes} are allowed.",
            limit_bytes=limits.bytes,
        )
    image_format, width, height = _read_header(image)
    if width * height > limits.pixels:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "image-too-many-pixels",
            "The image has too many pixels",
            f"The image has {width} x {height} = {width * height} pixels; "
            f"at most {limits.pixels} are allowed.",
            limit_pixels=limits.pixels,
        )
    return Image(
        sha256=hashlib.sha256(image).hexdigest(),
        bytes=len(image),
        format=image_format,
        width=width,
        height=height,
        source=source,
    )


def _read_header(image: bytes) -> tuple[str, int, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but harmless metadata
            with PIL.Image.open(BytesIO(image), formats=FORMATS) as opened:
                return str(opened.format), opened.width, opened.height
    except Exception as exc:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "image-unreadable",
            "This is no image that can be read",
            f"The bytes are no readable image; accepted are {', '.join(FORMATS)}.",
            accepted=list(FORMATS),
        ) from exc
