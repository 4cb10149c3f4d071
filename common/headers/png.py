"""PNG and APNG: the chunk IHDR, which comes first.

Source: https://www.w3.org/TR/png-3/#11IHDR
"""

import re
from typing import Final

from common.headers.fields import HeaderError, Size, unpack

SIGNATURE: Final = re.compile(rb"\x89PNG\r\n\x1a\n")

_IHDR_BYTES: Final = 13


def read_size(image: bytes) -> Size:
    if image[12:16] != b"IHDR":
        raise HeaderError("its IHDR chunk is missing")
    length, _, width, height = unpack(">IIII", image, 8)
    if length != _IHDR_BYTES:
        raise HeaderError(f"its IHDR chunk has {length} bytes instead of {_IHDR_BYTES}")
    return width, height
