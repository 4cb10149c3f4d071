"""From whatever pixels a file has to RGB, or a refusal that says why not."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image

from common.errors import PermanentError

Levels = npt.NDArray[np.uint8]

_PAPER: Final = (255, 255, 255, 255)

# Source: TIFF 6.0, sections 8 and 19.
_BITS: Final = 258
_PHOTOMETRIC: Final = 262
_SAMPLE_FORMAT: Final = 339
_WHITE_IS_ZERO: Final = 0
_SIGNED: Final = 2

_16_BITS: Final = 2**16


class UndecodableImageError(PermanentError):
    """The bytes are no image that can be decoded: the client's mistake, not an outage."""


def to_rgb(image: PIL.Image.Image, *, png_bits: int = 0) -> PIL.Image.Image:
    """Convert a loaded image to mode ``RGB``; transparent areas become white.

    Args:
        image: As Pillow loaded it.
        png_bits: The bits of a sample, if it is a PNG file.

    Raises:
        UndecodableImageError: Nobody can tell which of its numbers mean black and white.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise UndecodableImageError("it has floating-point pixels, whose range is not known")
    if image.mode == "LAB":
        raise UndecodableImageError("its colours are L*a*b*; save it in RGB")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _deep_grey(image).convert("RGB")
    if image.mode == "L" and _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        return _scaled(np.asarray(image).astype(np.int8), bits=8, is_signed=True).convert("RGB")
    _scale_transparency(image, png_bits)
    return _on_paper(image)


def _on_paper(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data or _is_bmp_without_alpha(image):
        return image.convert("RGB")
    paper = PIL.Image.new("RGBA", image.size, _PAPER)
    return PIL.Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _is_bmp_without_alpha(image: PIL.Image.Image) -> bool:
    """Tell whether a BMP has the fourth channel of its header and nothing in it.

    Windows' clipboard writes such files, and shows them opaque.
    """
    is_bmp = image.format == "BMP" and image.mode == "RGBA"
    return is_bmp and image.getchannel("A").getextrema() == (0, 0)


def _scale_transparency(image: PIL.Image.Image, png_bits: int) -> None:
    """Have the transparent colour of a PNG in the 8 bits that Pillow gives its pixels."""
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int) and png_bits in {2, 4}:
        image.info["transparency"] = colour * 255 // (2**png_bits - 1)
    if image.mode == "RGB" and isinstance(colour, tuple) and png_bits == 16:  # noqa: PLR2004
        image.info["transparency"] = tuple(level >> 8 for level in colour)


def _deep_grey(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale grey of more than 8 bits by the range that the file declares, not by what it uses."""
    levels = np.asarray(image)
    if _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        return _scaled(levels, bits=_bits_of(image, levels), is_signed=True)
    if image.mode == "I":
        return _scaled(levels.astype(np.int32).view(np.uint32), bits=32)
    white = 2 ** _bits_of(image, levels) - 1
    return PIL.Image.fromarray(_table(image, white)[levels])


def _table(image: PIL.Image.Image, white: int) -> Levels:
    """Map each of 65,536 levels to one of 256, with *white* as the brightest."""
    levels = np.minimum(np.arange(_16_BITS), white)
    if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        levels = white - levels
    table: Levels = ((levels * 255 + white // 2) // white).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and transparent < _16_BITS:
        table[transparent] = 255
    return table


def _scaled(
    levels: npt.NDArray[np.integer], *, bits: int, is_signed: bool = False
) -> PIL.Image.Image:
    """Scale levels of 0 to the largest that *bits* can say.

    Raises:
        UndecodableImageError: There are negative levels, and no rule what they mean.
    """
    if is_signed and levels.size and levels.min() < 0:
        raise UndecodableImageError("it has negative levels of grey, whose meaning is not known")
    white = 2 ** (bits - is_signed) - 1
    scaled = levels.astype(np.float32) * np.float32(255 / white)
    return PIL.Image.fromarray(np.rint(scaled, out=scaled).astype(np.uint8))


def _bits_of(image: PIL.Image.Image, levels: npt.NDArray[np.integer]) -> int:
    bits = _tag(image, _BITS)
    return bits if bits else levels.dtype.itemsize * 8


def _tag(image: PIL.Image.Image, number: int) -> int | None:
    """Return a tag of a TIFF file; None if it has none, or is no TIFF."""
    value = getattr(image, "tag_v2", {}).get(number)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0] if value else None
    return value if isinstance(value, int) else None
