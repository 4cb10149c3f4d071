"""Take the metadata out of a file before it is decoded, and keep the orientation.

Text, profiles and previews change no pixel. What is wrong with them must not fail an image, and
what is large about them must not cost time.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from consumer.exif import UPRIGHT, orientation_of


@dataclass(frozen=True, slots=True)
class Stripped:
    """A file without its metadata.

    Args:
        image: The rest of the file.
        orientation: As EXIF has it; None where the format is none of those that are stripped.
    """

    image: bytes
    orientation: int | None


def stripped(image: bytes) -> Stripped:
    """Take the metadata out of a JPEG or a PNG file; other files stay as they are."""
    if image.startswith(_JPEG):
        return _stripped_jpeg(image)
    if image.startswith(_PNG):
        return _stripped_png(image)
    return Stripped(image, None)


# JPEG: segments up to the first scan. Source: ITU-T T.81, annex B; EXIF 2.32, 4.7.

_JPEG: Final = b"\xff\xd8\xff"
_MARKER: Final = re.compile(rb"\xff+([^\xff\x00])")
_SCAN: Final = 0xDA
_EXIF_SEGMENT: Final = 0xE1
# APP0 (JFIF) and APP14 (Adobe) say what the colours mean.
_METADATA: Final = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
# TEM, RST0 to RST7, SOI and EOI have no length, and no meaning before a scan.
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xDA)})


def _stripped_jpeg(image: bytes) -> Stripped:
    kept, exif = [image[:2]], b""
    offset = 2
    while (found := _MARKER.search(image, offset)) is not None:
        marker, start = found[1][0], found.end() - 2
        if marker == _SCAN or len(image) < found.end() + 2:
            kept.append(image[start:])
            break
        offset = found.end()
        if marker in _ALONE:
            continue
        offset += max(2, int.from_bytes(image[offset : offset + 2]))
        if marker not in _METADATA:
            kept.append(image[start:offset])
        elif marker == _EXIF_SEGMENT and not exif:
            exif = _exif_in(image[found.end() + 2 : offset])
    return Stripped(b"".join(kept), orientation_of(exif))


def _exif_in(segment: bytes) -> bytes:
    return segment if segment.startswith(b"Exif\0") else b""


# PNG: chunks. Source: https://www.w3.org/TR/png-3/, sections 5 and 11.

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_END: Final = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_EXIF_CHUNK: Final = b"eXIf"
_TRANSPARENCY: Final = b"tRNS"
# Where ImageMagick puts EXIF data, in hexadecimal digits.
_RAW_PROFILE: Final = b"Raw profile type exif\0"
_MOST_PROFILE_BYTES: Final = 16_384
_ANCILLARY: Final = 0x20  # the case of a chunk's first letter


@dataclass(frozen=True, slots=True)
class _Chunk:
    image: bytes
    start: int
    length: int

    @property
    def kind(self) -> bytes:
        return self.image[self.start + 4 : self.start + 8]

    @property
    def data(self) -> bytes:
        return self.image[self.start + 8 : self.start + 8 + self.length]

    @property
    def end(self) -> int:
        return self.start + 12 + self.length

    @property
    def is_ancillary(self) -> bool:
        return bool(self.image[self.start + 4] & _ANCILLARY)

    @property
    def is_intact(self) -> bool:
        checksum = self.image[self.end - 4 : self.end]
        return zlib.crc32(self.kind + self.data).to_bytes(4) == checksum


def _stripped_png(image: bytes) -> Stripped:
    kept, orientation = [_PNG], UPRIGHT
    for chunk in _chunks(image):
        if chunk.is_ancillary:
            orientation = _orientation_in(chunk, orientation)
        if not chunk.is_ancillary or (chunk.kind == _TRANSPARENCY and chunk.is_intact):
            kept.append(image[chunk.start : chunk.end])
    return Stripped(b"".join((*kept, _END)), orientation)


def _chunks(image: bytes) -> Iterator[_Chunk]:
    """Yield the chunks before IEND; the last may be cut off."""
    offset = len(_PNG)
    while offset + 8 <= len(image):
        chunk = _Chunk(image, offset, int.from_bytes(image[offset : offset + 4]))
        if chunk.kind == b"IEND":
            return
        yield chunk
        offset = chunk.end


def _orientation_in(chunk: _Chunk, known: int) -> int:
    if chunk.kind == _EXIF_CHUNK and chunk.is_intact:
        return orientation_of(chunk.data)
    if known == UPRIGHT and chunk.kind in {b"tEXt", b"zTXt"}:
        return orientation_of(_raw_profile(chunk))
    return known


def _raw_profile(chunk: _Chunk) -> bytes:
    """Return the beginning of the EXIF data that the text has, or nothing."""
    if not chunk.data.startswith(_RAW_PROFILE):
        return b""
    text = chunk.data[len(_RAW_PROFILE) :]
    if chunk.kind == b"zTXt":
        try:
            text = zlib.decompressobj().decompress(text[1:], _MOST_PROFILE_BYTES)
        except zlib.error:
            return b""
    # A line feed, the name, the number of bytes, and the digits, in lines.
    digits = b"".join(text[:_MOST_PROFILE_BYTES].split(b"\n")[3:])
    try:
        return bytes.fromhex(digits[: len(digits) & ~1].decode("ascii"))
    except ValueError:
        return b""
