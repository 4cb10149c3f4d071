"""The first directory of a TIFF file, read within bounds. EXIF data are a TIFF file, too.

Source: TIFF 6.0, section 2; https://www.awaresystems.be/imaging/tiff/bigtiff.html
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Images have some dozens, in the order of their tags.
_MOST_ENTRIES: Final = 4000
_ORIENTATION: Final = 0x0112
_ORIENTATIONS: Final = range(1, 9)
# By the number of the type: BYTE, SHORT, LONG, SSHORT, SLONG, IFD.
_LAYOUTS: Final = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 13: "I"}


class DirectoryError(Exception):
    """The bytes are not a TIFF file, or end before its first directory does."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the numbers of a file are written."""

    order: str
    is_big: bool

    @property
    def pointer_at(self) -> int:
        return 8 if self.is_big else 4

    @property
    def pointer(self) -> str:
        return f"{self.order}{'Q' if self.is_big else 'I'}"

    @property
    def count(self) -> str:
        return f"{self.order}{'Q' if self.is_big else 'H'}"

    @property
    def entry(self) -> str:
        return f"{self.order}HH{'Q8s' if self.is_big else 'I4s'}"


@dataclass(frozen=True, slots=True)
class Entry:
    tag: int
    kind: int
    count: int
    value: bytes  # or where it is


def layout_of(tiff: bytes) -> Layout:
    """Return how *tiff* is written.

    Raises:
        DirectoryError: It is no TIFF file.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        raise DirectoryError
    return Layout(order, is_big=b"+" in tiff[2:4])


def first_directory(tiff: bytes) -> Iterator[Entry]:
    """Yield the entries of the first directory.

    Raises:
        DirectoryError: It ends too early, or has more entries than any image.
    """
    layout = layout_of(tiff)
    try:
        (offset,) = struct.unpack_from(layout.pointer, tiff, layout.pointer_at)
        (entries,) = struct.unpack_from(layout.count, tiff, offset)
        offset += struct.calcsize(layout.count)
        for number in range(min(entries, _MOST_ENTRIES)):
            position = offset + number * struct.calcsize(layout.entry)
            yield Entry(*struct.unpack_from(layout.entry, tiff, position))
    except (struct.error, OverflowError) as exc:
        raise DirectoryError from exc


def orientation_in(entry: Entry, layout: Layout) -> int | None:
    """Return the orientation, 1 to 8, if it is what *entry* has."""
    if entry.tag != _ORIENTATION or entry.kind not in _LAYOUTS or entry.count != 1:
        return None
    (found,) = struct.unpack_from(f"{layout.order}{_LAYOUTS[entry.kind]}", entry.value)
    return int(found) if found in _ORIENTATIONS else None
