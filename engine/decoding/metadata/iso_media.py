"""AVIF and HEIF: the EXIF data, at whose faults decoders fail.

The rotation of these images is a property of the container. Source: ISO/IEC 14496-12, clause
8.11.6 (infe).
"""

import re
from typing import Final

from common.headers.boxes import Box
from common.headers.fields import HeaderError
from engine.decoding.metadata.stripped import Stripped

_SIGNATURE: Final = re.compile(rb"....ftyp", re.DOTALL)
# Version and flags, the item's number, that of its protection, and its type.
_EXIF_ITEM: Final = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)


def is_one(image: bytes) -> bool:
    return _SIGNATURE.match(image) is not None


def stripped(image: bytes) -> Stripped:
    """Rename the type of the EXIF item to one that decoders skip; nothing in the file moves."""
    try:
        items = Box(image, 0, len(image)).first(b"meta")
    except HeaderError:
        return Stripped(image, None)
    renamed = _EXIF_ITEM.sub(rb"\1skip", image[items.start : items.end])
    return Stripped(image[: items.start] + renamed + image[items.end :], None)
