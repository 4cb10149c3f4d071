"""What all headers consist of: numbers at known offsets."""

import struct
from typing import Any

from common.errors import PermanentError

Size = tuple[int, int]  # width, height


class HeaderError(PermanentError):
    """The header lacks the dimensions; the message goes on after "it starts like a ..., but"."""


def unpack(layout: str, image: bytes, offset: int) -> tuple[Any, ...]:
    """Read numbers at *offset*, in the notation of :mod:`struct`.

    Raises:
        HeaderError: The file ends before them.
    """
    if offset + struct.calcsize(layout) > len(image):
        raise HeaderError("it ends within its header")
    return struct.unpack_from(layout, image, offset)
