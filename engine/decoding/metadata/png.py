"""PNG: chunks that change no pixel.

Source: https://www.w3.org/TR/png-3/, sections 5 and 11. A transparency
that breaks the rules is ignored, as in libpng and so in browsers.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.decoding.exif import UPRIGHT, orientation_of
from engine.decoding.metadata.stripped import Stripped

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_END: Final = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_BITS_AT: Final = 24
_COLOUR_TYPE_AT: Final = 25
_ANCILLARY: Final = 0x20  # the case of a chunk's first letter
_TRANSPARENCY_BYTES: Final = {0: 2, 2: 6}  # by the colour type: grey, RGB
_PALETTE: Final = 3
_EXIF: Final = b"eXIf"
# Where ImageMagick puts EXIF data, in hexadecimal digits.
_RAW_PROFILE: Final = b"Raw profile type exif\0"
_MOST_PROFILE_BYTES: Final = 16_384


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
    def is_complete(self) -> bool:
        return self.end <= len(self.image)

    @property
    def is_intact(self) -> bool:
        checksum = self.image[self.end - 4 : self.end]
        return zlib.crc32(self.kind + self.data).to_bytes(4) == checksum


def is_one(image: bytes) -> bool:
    return image.startswith(_SIGNATURE)


def bits_of(image: bytes) -> int:
    """Return the bits of a sample; 0 if *image* is no PNG file."""
    return image[_BITS_AT] if is_one(image) and len(image) > _BITS_AT else 0


def stripped(image: bytes) -> Stripped:
    kept = list(_kept(image))
    content = [_SIGNATURE, *(image[chunk.start : chunk.end] for chunk in kept)]
    # After a truncated chunk, Pillow would read the end as the rest of its pixels.
    if kept and kept[-1].is_complete:
        content.append(_END)
    return Stripped(b"".join(content), _orientation(image))


def _chunks(image: bytes) -> Iterator[_Chunk]:
    """Yield the chunks before IEND; the last may be cut off."""
    offset = len(_SIGNATURE)
    while offset + 8 <= len(image):
        chunk = _Chunk(image, offset, int.from_bytes(image[offset : offset + 4]))
        if chunk.kind == b"IEND":
            return
        yield chunk
        offset = chunk.end


def _kept(image: bytes) -> Iterator[_Chunk]:
    colours, is_late = 0, False
    for chunk in _chunks(image):
        if not chunk.kind[0] & _ANCILLARY:
            colours = chunk.length // 3 if chunk.kind == b"PLTE" else colours
            is_late = is_late or chunk.kind == b"IDAT"
            yield chunk
        elif chunk.kind == b"tRNS" and not is_late and _fits(chunk, colours):
            is_late = True  # the second does not count
            yield chunk


def _fits(transparency: _Chunk, colours: int) -> bool:
    colour_type = transparency.image[_COLOUR_TYPE_AT]
    if colour_type == _PALETTE:
        is_sized = 0 < transparency.length <= colours
    else:
        is_sized = transparency.length == _TRANSPARENCY_BYTES.get(colour_type)
    return is_sized and transparency.is_intact


def _orientation(image: bytes) -> int:
    """Read the first EXIF chunk; if it leaves the image upright, also the first raw profile."""
    found = UPRIGHT
    if _EXIF in image:
        exif = (chunk.data for chunk in _chunks(image) if chunk.kind == _EXIF and chunk.is_intact)
        found = orientation_of(next(exif, b""))
    if found == UPRIGHT and _RAW_PROFILE in image:
        profiles = (chunk for chunk in _chunks(image) if _is_raw_profile(chunk))
        found = orientation_of(next(map(_raw_profile, profiles), b""))
    return found


def _is_raw_profile(chunk: _Chunk) -> bool:
    return chunk.kind in {b"tEXt", b"zTXt"} and chunk.image.startswith(
        _RAW_PROFILE, chunk.start + 8
    )


def _raw_profile(chunk: _Chunk) -> bytes:
    """Return the beginning of the EXIF data that the text has, or nothing."""
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
