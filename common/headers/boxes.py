"""The boxes of ISO base media files, which AVIF and HEIF are.

Source: ISO/IEC 14496-12, clause 4.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from common.headers.fields import HeaderError, unpack

_MOST_BOXES: Final = 1000
_SIZE_FOLLOWS: Final = 1
_TO_THE_END: Final = 0
_VERSION_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Box:
    """The content of a box: *image* from *start* to *end*."""

    image: bytes
    start: int
    end: int
    kind: bytes = b""

    def boxes(self) -> Iterator["Box"]:
        """Yield the boxes inside; the last may be cut off."""
        offset = self.start
        for _ in range(_MOST_BOXES):
            if offset + 8 > self.end:
                return
            box, offset = self._box_at(offset)
            yield box
        raise HeaderError(f"it has more than {_MOST_BOXES} boxes in one")

    def first(self, kind: bytes) -> "Box":
        """Return the first box of *kind* inside.

        Raises:
            HeaderError: There is none.
        """
        for box in self.boxes():
            if box.kind == kind:
                return box
        raise HeaderError(f"its {kind.decode()} box is missing")

    def versioned(self) -> tuple[int, int, "Box"]:
        """Return version, flags, and what follows them."""
        (word,) = unpack(">I", self.image, self.start)
        rest = Box(self.image, self.start + _VERSION_BYTES, self.end, self.kind)
        return word >> 24, word & 0xFFFFFF, rest

    def unpack(self, layout: str, offset: int = 0) -> tuple[Any, ...]:
        """Read numbers at *offset* of the content."""
        return unpack(layout, self.image, self.start + offset)

    def _box_at(self, offset: int) -> tuple["Box", int]:
        size, kind = unpack(">I4s", self.image, offset)
        header_bytes = 8
        if size == _SIZE_FOLLOWS:
            (size,) = unpack(">Q", self.image, offset + 8)
            header_bytes = 16
        elif size == _TO_THE_END:
            size = self.end - offset
        if size < header_bytes:
            raise HeaderError("one of its boxes is smaller than its own header")
        end = min(offset + size, self.end)
        return Box(self.image, offset + header_bytes, end, kind), offset + size
