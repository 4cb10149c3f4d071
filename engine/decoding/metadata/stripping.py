"""Strip the metadata of any format."""

from collections.abc import Callable
from typing import Final

from engine.decoding.metadata import iso_media, jpeg, png, tiff
from engine.decoding.metadata.stripped import Stripped

_STRIPPERS: Final[tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Stripped]], ...]] = (
    (jpeg.is_one, jpeg.stripped),
    (png.is_one, png.stripped),
    (tiff.is_one, tiff.stripped),
    (iso_media.is_one, iso_media.stripped),
)


def stripped(image: bytes) -> Stripped:
    """Take the metadata out of *image*; WebP, GIF and BMP files stay as they are."""
    for is_one, strip in _STRIPPERS:
        if is_one(image):
            return strip(image)
    return Stripped(image, None)
