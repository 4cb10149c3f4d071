"""TIFF in both byte orders, and BigTIFF in one: three tags of the first directory.

Source: TIFF 6.0; https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from common.headers.fields import HeaderError, Size, unpack

# Two writers have the version's bytes in the wrong order; Pillow reads their files all the same.
SIGNATURE: Final = re.compile(rb"II[*+]\0|MM\0[*+]|MM\*\0|II\0\*")
# Pillow 13.0 looks for the version in the wrong one of these bytes.
_UNREAD: Final = b"MM\0+"

# Images have some dozens. The standard sorts them, so that what counts is among the first.
_MOST_ENTRIES: Final = 4000

_WIDTH: Final = 256
_HEIGHT: Final = 257
_ORIENTATION: Final = 274
_ON_ITS_SIDE: Final = frozenset({5, 6, 7, 8})

# By the number of the type: SHORT, LONG, SSHORT, SLONG, IFD, LONG8.
_LAYOUTS: Final[Mapping[int, str]] = {3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the numbers of a file are written."""

    order: str
    count: str  # of entries
    size: str  # of an offset, and of a count of values

    @property
    def entry(self) -> str:
        return f"{self.order}HH{self.size}"

    @property
    def entry_bytes(self) -> int:
        return struct.calcsize(self.entry) + self.inline_bytes

    @property
    def inline_bytes(self) -> int:
        return struct.calcsize(f"{self.order}{self.size}")


def read_size(image: bytes) -> Size:
    if image.startswith(_UNREAD):
        raise HeaderError(
            "it is a BigTIFF with the most significant byte first, which the decoder cannot open; "
            "save it as TIFF, or with the least significant byte first"
        )
    order = "<" if image.startswith(b"II") else ">"
    if b"+" in image[2:4]:
        layout, pointer = _Layout(order, "Q", "Q"), 8
    else:
        layout, pointer = _Layout(order, "H", "I"), 4
    (directory,) = unpack(f"{order}{layout.size}", image, pointer)
    found = _values(image, directory, layout)
    if _WIDTH not in found or _HEIGHT not in found:
        raise HeaderError("its first directory lacks its width or its height")
    width, height = found[_WIDTH], found[_HEIGHT]
    return (height, width) if found.get(_ORIENTATION) in _ON_ITS_SIDE else (width, height)


def _values(image: bytes, directory: int, layout: _Layout) -> dict[int, int]:
    """Return the first value of each of the three tags that the directory has."""
    (entries,) = unpack(f"{layout.order}{layout.count}", image, directory)
    if entries > _MOST_ENTRIES:
        raise HeaderError(f"its first directory has more than {_MOST_ENTRIES} entries")
    first = directory + struct.calcsize(f"{layout.order}{layout.count}")
    found = {}
    for offset in range(first, first + entries * layout.entry_bytes, layout.entry_bytes):
        tag, kind, count = unpack(layout.entry, image, offset)
        if tag in {_WIDTH, _HEIGHT, _ORIENTATION} and kind in _LAYOUTS and count:
            found[tag] = _value(image, offset, layout, f"{layout.order}{_LAYOUTS[kind]}", count)
    return found


def _value(image: bytes, entry: int, layout: _Layout, number: str, count: int) -> int:
    offset = entry + struct.calcsize(layout.entry)
    if struct.calcsize(number) * count > layout.inline_bytes:
        offset = unpack(f"{layout.order}{layout.size}", image, offset)[0]
    return int(unpack(number, image, offset)[0])
