"""The orientation in EXIF data; no other tag is read.

Cameras and editors write tags that break the rules. None of them may fail an image.
"""

from typing import Final

from engine.decoding.tiff_directory import (
    DirectoryError,
    first_directory,
    layout_of,
    orientation_in,
)

# EXIF 2.32, 4.6.4: 1 is upright; each of the others takes one turn or flip, or both.
UPRIGHT: Final = 1

_PREFIX: Final = b"Exif\0\0"


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8; 1 where *exif* has none that can be read."""
    tiff = exif.removeprefix(_PREFIX)
    try:
        layout = layout_of(tiff)
        for entry in first_directory(tiff):
            if found := orientation_in(entry, layout):
                return found
    except DirectoryError:
        pass
    return UPRIGHT
