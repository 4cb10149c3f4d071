"""TIFF: the tags of its first directory that change no pixel.

Pillow reads some of the other tags when it opens a file, and fails at odd values.
"""

import struct
from collections.abc import Collection
from typing import Final

from engine.decoding.exif import UPRIGHT
from engine.decoding.metadata.stripped import Stripped
from engine.decoding.tiff_directory import (
    DirectoryError,
    Entry,
    Layout,
    first_directory,
    layout_of,
    orientation_in,
)

# Two writers swap the bytes of the version; Pillow reads their files all the same.
_SIGNATURES: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")

# Source: TIFF 6.0; technical notes 1 and 2; the fax, JPEG and YCbCr tags of libtiff.
_PIXELS: Final = frozenset(
    {
        *range(256, 260),  # width, height, bits, compression
        *(262, 266, 273, 277, 278, 279, 284),  # photometric, fill order, strips, planes
        *(292, 293, 317, 320),  # fax, predictor, colour map
        *range(322, 326),  # tiles
        *(332, 338, 339, 347),  # inks, extra samples, sample format, JPEG tables
        *range(512, 522),  # JPEG, old
        *(529, 530, 531, 532),  # YCbCr
    }
)


def is_one(image: bytes) -> bool:
    return image.startswith(_SIGNATURES)


def stripped(image: bytes) -> Stripped:
    """Overwrite the first directory with one that has only the tags that matter.

    The orientation is not among them: Pillow would turn the image by it and rewrite all of its EXIF
    data. Nothing else in the file moves, and no byte is added, so that truncated pixels are
    noticed.
    """
    try:
        layout, entries = layout_of(image), list(first_directory(image))
    except DirectoryError:
        return Stripped(image, UPRIGHT)
    found = (orientation_in(entry, layout) for entry in entries)
    orientation = next(filter(None, found), UPRIGHT)
    kept = {entry.tag: entry for entry in reversed(entries) if entry.tag in _PIXELS}
    return Stripped(_with_directory(image, layout, kept.values()), orientation)


def _with_directory(image: bytes, layout: Layout, entries: Collection[Entry]) -> bytes:
    (offset,) = struct.unpack_from(layout.pointer, image, layout.pointer_at)
    ordered = sorted(entries, key=lambda entry: entry.tag)
    directory = b"".join(
        (
            struct.pack(layout.count, len(ordered)),
            *(struct.pack(layout.entry, e.tag, e.kind, e.count, e.value) for e in ordered),
            struct.pack(layout.pointer, 0),  # there is no second
        )
    )
    rest = image[offset + len(directory) :]
    return (image[:offset] + directory + rest)[: len(image)]
