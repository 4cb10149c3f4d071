"""BMP: Windows' headers of all versions, and those of OS/2.

Source: https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types
"""

import re
from typing import Final

from common.headers.fields import HeaderError, Size, unpack

SIGNATURE: Final = re.compile(rb"BM")

_OS2_1: Final = 12
_LATER: Final = frozenset({40, 52, 56, 64, 108, 124})


def read_size(image: bytes) -> Size:
    (header_bytes,) = unpack("<I", image, 14)
    if header_bytes == _OS2_1:
        width, height = unpack("<HH", image, 18)
        return width, height
    if header_bytes not in _LATER:
        raise HeaderError(f"no BMP has a header of {header_bytes} bytes")
    width, height = unpack("<ii", image, 18)
    return width, abs(height)  # negative: the rows run from top to bottom
