"""WebP: the canvas, in whichever chunk comes first.

Source: https://developers.google.com/speed/webp/docs/riff_container
"""

import re
from typing import Final

from common.headers.fields import HeaderError, Size, unpack

SIGNATURE: Final = re.compile(rb"RIFF....WEBP", re.DOTALL)

_LOSSY_START: Final = b"\x9d\x01\x2a"
_LOSSLESS_START: Final = b"\x2f"
_14_BITS: Final = 0x3FFF


def read_size(image: bytes) -> Size:
    match image[12:16]:
        case b"VP8X":
            return _canvas(image)
        case b"VP8 ":
            return _lossy(image)
        case b"VP8L":
            return _lossless(image)
    raise HeaderError("its first chunk is none of VP8X, VP8 and VP8L")


def _canvas(image: bytes) -> Size:
    low_width, high_width, low_height, high_height = unpack("<HBHB", image, 24)
    return 1 + low_width + (high_width << 16), 1 + low_height + (high_height << 16)


def _lossy(image: bytes) -> Size:
    width, height = unpack("<HH", image, 26)
    if image[23:26] != _LOSSY_START:
        raise HeaderError("its VP8 chunk does not begin with a key frame")
    return width & _14_BITS, height & _14_BITS  # the two bits above scale the display


def _lossless(image: bytes) -> Size:
    (bits,) = unpack("<I", image, 21)
    if image[20:21] != _LOSSLESS_START:
        raise HeaderError("its VP8L chunk does not begin with its signature")
    return 1 + (bits & _14_BITS), 1 + (bits >> 14 & _14_BITS)
