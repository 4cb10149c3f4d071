"""GIF: the logical screen, or the first frame where that reaches beyond.

Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

import re
from collections.abc import Iterable
from typing import Final

from common.headers.fields import HeaderError, Size, unpack

SIGNATURE: Final = re.compile(rb"GIF8[79]a")

# Sub-blocks, of up to 255 bytes each, and whatever lies between blocks.
_MOST_BLOCKS: Final = 10_000
_SCREEN_BYTES: Final = 13
_HAS_PALETTE: Final = 0x80


def read_size(image: bytes) -> Size:
    width, height, flags = unpack("<HHB", image, 6)
    palette_bytes = 3 << (flags & 7) + 1 if flags & _HAS_PALETTE else 0
    frame = _first_frame(image, _SCREEN_BYTES + palette_bytes)
    left, top, frame_width, frame_height = unpack("<HHHH", image, frame)
    return max(width, left + frame_width), max(height, top + frame_height)


def _first_frame(image: bytes, offset: int) -> int:
    """Return where the first frame's position and size stand."""
    steps = iter(range(_MOST_BLOCKS))
    for _ in steps:
        (introducer,) = unpack("c", image, offset)
        if introducer == b",":
            return offset + 1
        if introducer == b";":
            raise HeaderError("it has no frame")
        offset = _after_extension(image, offset + 2, steps) if introducer == b"!" else offset + 1
    raise HeaderError(f"it has more than {_MOST_BLOCKS} blocks before its first frame")


def _after_extension(image: bytes, offset: int, steps: Iterable[int]) -> int:
    for _ in steps:
        (size,) = unpack("B", image, offset)
        offset += 1 + size
        if not size:
            break
    return offset
