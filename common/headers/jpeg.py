"""JPEG: the first frame header (SOF).

Source: ITU-T T.81, annex B.
"""

import re
from typing import Final

from common.headers.fields import HeaderError, Size, unpack

SIGNATURE: Final = re.compile(rb"\xff\xd8\xff")

# A colour profile takes at most 255 segments, and 10 MB of metadata in full ones 160.
_MOST_SEGMENTS: Final = 5000
_FILL: Final = re.compile(rb"\xff+")

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END: Final = 0xD9
_SCAN: Final = 0xDA
# A zero byte after 0xff makes it no marker; like TEM, RST0 to RST7 and SOI it has no length.
_ALONE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})


def read_size(image: bytes) -> Size:
    offset = 2
    for _ in range(_MOST_SEGMENTS):
        marker, offset = _next_marker(image, offset)
        if marker in _FRAMES:
            _, _, height, width = unpack(">HBHH", image, offset)
            return width, height
        if marker in {_SCAN, _END}:
            raise HeaderError("it has no frame header (SOF) before its pixels")
        if marker not in _ALONE:
            (length,) = unpack(">H", image, offset)
            offset += max(2, length)
    raise HeaderError(f"it has more than {_MOST_SEGMENTS} segments before its frame header (SOF)")


def _next_marker(image: bytes, offset: int) -> tuple[int, int]:
    """Return the next marker from *offset* on, and where its content begins."""
    fill = _FILL.match(image, max(offset, image.find(b"\xff", offset)))
    if fill is None or fill.end() == len(image):
        raise HeaderError("it ends before its frame header (SOF)")
    return image[fill.end()], fill.end() + 1
