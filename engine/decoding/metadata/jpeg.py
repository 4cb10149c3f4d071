"""JPEG: segments with metadata, and whether pixels are missing.

Source: ITU-T T.81, annexes B and G; EXIF 2.32, 4.7.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from engine.decoding.exif import orientation_of
from engine.decoding.metadata.stripped import Stripped

END: Final = b"\xff\xd9"

_START: Final = b"\xff\xd8\xff"
_MARKER: Final = re.compile(rb"\xff+([^\xff\x00])")
_SCAN: Final = 0xDA
_EXIF: Final = 0xE1
# APP0 (JFIF) and APP14 (Adobe) say what the colours mean.
_METADATA: Final = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
# TEM, RST0 to RST7, SOI and EOI have no length.
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_RESTART_INTERVAL: Final = 0xDD
_RESTART: Final = re.compile(rb"\xff([\xd0-\xd7])")
_COEFFICIENTS: Final = range(64)
_PROBES: Final = 3


# Marker, start of the segment (at the marker) and its end. A tuple: there may be millions.
_Segment = tuple[int, int, int]


def is_one(image: bytes) -> bool:
    return image.startswith(_START)


def stripped(image: bytes) -> Stripped:
    kept, exif = [image[:2]], b""
    for marker, start, end in _segments(image):
        if marker == _SCAN:
            kept.append(image[start:])
            break
        if marker not in _METADATA:
            kept.append(image[start:end])
        elif marker == _EXIF and not exif and image.startswith(b"Exif\0", start + 4):
            exif = image[start + 4 : end]
    return Stripped(b"".join(kept), orientation_of(exif))


def _segments(image: bytes) -> Iterator[_Segment]:
    """Yield the segments that have a length; the pixels between them are passed over."""
    offset = 2
    while (found := _MARKER.search(image, offset)) is not None:
        marker, offset = found[1][0], found.end()
        if marker in _ALONE:
            continue
        start, offset = offset - 2, offset + max(2, int.from_bytes(image[offset : offset + 2]))
        yield marker, start, offset


def has_all_scans(image: bytes) -> bool:
    """Return whether the scans contain every bit of every coefficient of every component."""
    missing: dict[int, set[int]] = {}
    frame = 0
    for marker, start, end in _segments(image):
        content = image[start + 4 : end]
        if marker in _FRAMES:
            frame = marker
            missing = {component: set(_COEFFICIENTS) for component in content[6::3]}
        elif marker == _SCAN and end <= len(image):
            for component in content[1 : 1 + 2 * content[0] : 2]:
                missing.get(component, set()).difference_update(_completed(content, frame))
    return bool(missing) and not any(missing.values())


def _completed(scan: bytes, frame: int) -> range:
    """Return the coefficients that have all of their bits after *scan*."""
    if frame not in _PROGRESSIVE:
        return _COEFFICIENTS
    first, last, bits = scan[-3:]
    is_last_bit = not bits & 0x0F
    return range(first, last + 1) if is_last_bit else range(0)


def probes(image: bytes) -> Iterator[bytes]:
    """Yield *image*, which lacks its end, with an end, and then with noise before that end.

    libjpeg fills in missing pixels without an error, and the noise changes what it fills in. Where
    no pixel is missing, the noise changes nothing.
    """
    image = image.removesuffix(b"\xff")
    restart = _next_restart(image)
    yield image + END
    for number in range(_PROBES):
        noise = hashlib.sha512(bytes([number])).digest().replace(b"\xff", b"\x7f")
        yield image + noise + (restart + noise if restart else b"") + END


def _next_restart(image: bytes) -> bytes:
    """Return the marker that a decoder expects between two intervals; empty if there is none."""
    has_restarts, scan = False, 0
    for marker, start, end in _segments(image):
        has_restarts |= marker == _RESTART_INTERVAL and any(image[start + 4 : end])
        scan = end if marker == _SCAN else scan
    if not has_restarts:
        return b""
    seen = _RESTART.findall(image, scan)
    return b"\xff" + bytes([0xD0 + (seen[-1][0] + 1) % 8 if seen else 0xD0])
