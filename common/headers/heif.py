"""AVIF and HEIF: the spatial extents of the primary item.

Source: ISO/IEC 23008-12, clauses 6.5.3 (ispe), 6.5.9 (clap), 6.5.10 (irot); 14496-12, 8.11
(meta).
"""

import re
from collections.abc import Iterator
from typing import Final

from common.headers.boxes import Box
from common.headers.fields import HeaderError, Size

# The brands of a container alone (mif1, msf1) leave the codec to the compatible brands.
AVIF_SIGNATURE: Final = re.compile(
    rb"....ftyp(?:avif|avis|(?:mif1|msf1)....(?:....){0,30}?(?:avif|avis))", re.DOTALL
)
HEIF_SIGNATURE: Final = re.compile(
    rb"....ftyp(?:he(?:ic|ix|vc|vx|im|is|vm|vs)|mif1|msf1)", re.DOTALL
)

# A photograph of a phone has some fifty items, with three or four properties each.
_MOST_ITEMS: Final = 2000
_QUARTER_TURN: Final = 1  # irot counts quarter turns; odd ones swap width and height


def read_avif_size(image: bytes) -> Size:
    """Read the size before any rotation, which Pillow leaves to the orientation."""
    return _extents(_primary_properties(image))


def read_heif_size(image: bytes) -> Size:
    """Read the size after crop and rotation, which libheif applies as it decodes."""
    properties = _primary_properties(image)
    width, height = _clean_aperture(properties) or _extents(properties)
    turns = sum(box.unpack("B")[0] for box in properties if box.kind == b"irot")
    return (height, width) if turns & _QUARTER_TURN else (width, height)


def _extents(properties: list[Box]) -> Size:
    for box in properties:
        if box.kind == b"ispe":
            width, height = box.versioned()[2].unpack(">II")
            return width, height
    raise HeaderError("its primary image has no ispe box")


def _clean_aperture(properties: list[Box]) -> Size | None:
    """Return the size that is left of a coded image, if it is cropped."""
    for box in properties:
        if box.kind == b"clap":
            width, width_divisor, height, height_divisor = box.unpack(">IIII")
            if not width_divisor or not height_divisor:
                raise HeaderError("its clap box divides by zero")
            return width // width_divisor, height // height_divisor
    return None


def _primary_properties(image: bytes) -> list[Box]:
    _, _, meta = Box(image, 0, len(image)).first(b"meta").versioned()
    properties = meta.first(b"iprp")
    shared = list(properties.first(b"ipco").boxes())
    primary = _primary_item(meta)
    for box in properties.boxes():
        if box.kind == b"ipma":
            indices = _indices(box, primary)
            if indices is not None:
                return [shared[index - 1] for index in indices if 0 < index <= len(shared)]
    raise HeaderError("its primary image has no properties")


def _primary_item(meta: Box) -> int:
    version, _, content = meta.first(b"pitm").versioned()
    return int(content.unpack(">I" if version else ">H")[0])


def _indices(associations: Box, primary: int) -> list[int] | None:
    """Return which of the shared properties the primary item has, counted from 1."""
    for item, indices in _items(associations):
        if item == primary:
            return indices
    return None


def _items(associations: Box) -> Iterator[tuple[int, list[int]]]:
    version, flags, content = associations.versioned()
    item_layout = ">IB" if version else ">HB"
    index_layout, essential = ("H", 0x8000) if flags & 1 else ("B", 0x80)
    (items,) = content.unpack(">I")
    offset = 4
    for _ in range(min(items, _MOST_ITEMS)):
        item, count = content.unpack(item_layout, offset)
        offset += 5 if version else 3
        marked = content.unpack(f">{count}{index_layout}", offset)
        offset += count * (2 if flags & 1 else 1)
        yield item, [index & ~essential for index in marked]
