"""Which format an image has, and its dimensions; or what the bytes look like instead."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from common.errors import PermanentError
from common.formats import FORMATS
from common.headers import bmp, gif, heif, jpeg, png, tiff, webp
from common.headers.fields import HeaderError, Size
from common.headers.others import name_of

# Neither file nor canvas can be larger in any format; Pillow's own limit is lower.
_MOST_PX: Final = 2**31 - 1


class UnreadableHeaderError(PermanentError):
    """The bytes are no image of an accepted format; the message says what was seen, and why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says."""

    format: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Reader:
    signature: re.Pattern[bytes]
    read_size: Callable[[bytes], Size]


# By Pillow's names. Of these, the service reads those that common/formats.py lists. AVIF stands
# before HEIF: their containers share two brands.
_READERS: Final[Mapping[str, _Reader]] = {
    "JPEG": _Reader(jpeg.SIGNATURE, jpeg.read_size),
    "PNG": _Reader(png.SIGNATURE, png.read_size),
    "WEBP": _Reader(webp.SIGNATURE, webp.read_size),
    "GIF": _Reader(gif.SIGNATURE, gif.read_size),
    "BMP": _Reader(bmp.SIGNATURE, bmp.read_size),
    "TIFF": _Reader(tiff.SIGNATURE, tiff.read_size),
    "AVIF": _Reader(heif.AVIF_SIGNATURE, heif.read_avif_size),
    "HEIF": _Reader(heif.HEIF_SIGNATURE, heif.read_heif_size),
}


def read_header(image: bytes) -> Header:
    """Read the header of *image*.

    The cost is bounded, and grows with what is read of the file, not with its length.

    Raises:
        UnreadableHeaderError: The format is not accepted, or the header has no dimensions.
    """
    name = _format_of(image)
    if name is None or name not in FORMATS:
        raise UnreadableHeaderError(f"It looks like {name_of(image, name)}.")
    try:
        width, height = _READERS[name].read_size(image)
    except HeaderError as exc:
        raise UnreadableHeaderError(f"It starts like a {name} file, but {exc}.") from exc
    if not (0 < width <= _MOST_PX and 0 < height <= _MOST_PX):
        raise UnreadableHeaderError(
            f"It starts like a {name} file, but its size is {width} x {height} pixels."
        )
    return Header(name, width, height)


def _format_of(image: bytes) -> str | None:
    for name, reader in _READERS.items():
        if reader.signature.match(image):
            return name
    return None
