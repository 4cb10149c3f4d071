"""The orientation of an image, read from its EXIF data and from nothing else in them.

Cameras and editors write tags that break the rules, and none of them matters here.
"""

import struct
from typing import Final

# EXIF 2.32, 4.6.4: 1 is upright; each of the others takes one turn or flip, or both.
UPRIGHT: Final = 1
_ORIENTATIONS: Final = range(1, 9)
_TAG: Final = 0x0112
_PREFIX: Final = b"Exif\0\0"

# Most directories have some twenty entries, in the order of their tags: this one comes early.
_MOST_ENTRIES: Final = 1000
_ENTRY_BYTES: Final = 12
# By the number of the type: BYTE, SHORT, LONG, SSHORT, SLONG.
_LAYOUTS: Final = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i"}


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8; 1 where *exif* has none that can be read."""
    try:
        found = _orientation(exif.removeprefix(_PREFIX))
    except struct.error:  # they end too early
        return UPRIGHT
    return found if found in _ORIENTATIONS else UPRIGHT


def _orientation(tiff: bytes) -> int:
    """Look through the first directory.

    Source: TIFF 6.0, section 2.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
    for number in range(min(entries, _MOST_ENTRIES)):
        offset = directory + 2 + number * _ENTRY_BYTES
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, offset)
        if tag == _TAG and kind in _LAYOUTS and count == 1:
            return int(struct.unpack_from(f"{order}{_LAYOUTS[kind]}", tiff, offset + 8)[0])
    return UPRIGHT
