"""Convert the pixels of a file to RGB, or refuse it with a reason."""

from collections.abc import Callable, Sequence
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
_SIGNED: Final = 2

_COLOUR_MAP: Final = 320

_8_BITS: Final = 2**8
_16_BITS: Final = 2**16

# By Pillow's modes.
_UNCLEAR: Final = {
    "F": "it has floating-point pixels, whose range is not known",
    "LAB": "its colours are L*a*b*; save it in RGB",
}

LowBytes = Callable[[], PIL.Image.Image]


class UndecodableImageError(PermanentError):
    """The bytes are not an image that can be decoded: the client's mistake, not an outage."""


def to_rgb(
    image: PIL.Image.Image, *, png_bits: int = 0, low_bytes: LowBytes | None = None
) -> PIL.Image.Image:
    """Convert a loaded image to mode ``RGB``; transparent areas become white.

    Args:
        image: As Pillow loaded it.
        png_bits: The bits of a sample, if it is a PNG file.
        low_bytes: Loads the lower bytes of 16-bit samples; *image* has the upper ones.

    Raises:
        UndecodableImageError: It does not say which numbers mean black and white.
    """
    colour = image.info.get("transparency")
    if image.mode == "RGB" and colour is None:
        return image
    if image.mode in _UNCLEAR:
        raise UndecodableImageError(_UNCLEAR[image.mode])
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _deep_grey(image).convert("RGB")
    if image.mode == "L" and _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        return _scaled(np.asarray(image).astype(np.int8), bits=8, is_signed=True).convert("RGB")
    if image.mode == "RGB" and low_bytes is not None and isinstance(colour, tuple):
        return _without_colour(image, low_bytes(), colour)
    if image.mode in {"P", "PA"}:
        _mend_palette(image)
    _scale_transparency(image, png_bits)
    return _on_paper(image.convert("LA") if image.mode == "La" else image)


def _without_colour(
    upper: PIL.Image.Image, lower: PIL.Image.Image, colour: tuple[int, ...]
) -> PIL.Image.Image:
    """Make one colour with 16 bits per sample white."""
    levels = np.array(upper)
    rest = np.asarray(lower)
    is_paper = np.ones(levels.shape[:2], bool)
    for band, level in enumerate(colour):
        is_paper &= (levels[..., band] == level >> 8) & (rest[..., band] == level & 0xFF)
    levels[is_paper] = _PAPER[:3]
    return PIL.Image.fromarray(levels)


def _mend_palette(image: PIL.Image.Image) -> None:
    """Keep the colours of a TIFF palette whose writer used 8 bits instead of 16."""
    colours = getattr(image, "tag_v2", {}).get(_COLOUR_MAP, ())
    if colours and max(colours) < _8_BITS:
        image.putpalette(np.array(colours, np.uint8).reshape(3, -1).T.tobytes())


def _on_paper(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data or _is_bmp_without_alpha(image):
        return image.convert("RGB")
    paper = PIL.Image.new("RGBA", image.size, _PAPER)
    return PIL.Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")


def _is_bmp_without_alpha(image: PIL.Image.Image) -> bool:
    """Return whether a BMP declares a fourth channel and leaves it empty.

    Windows' clipboard writes such files, and shows them opaque.
    """
    is_bmp = image.format == "BMP" and image.mode == "RGBA"
    return is_bmp and image.getchannel("A").getextrema() == (0, 0)


def _scale_transparency(image: PIL.Image.Image, png_bits: int) -> None:
    """Scale the transparent grey of a PNG to the 8 bits of Pillow's pixels."""
    grey = image.info.get("transparency")
    if image.mode == "L" and isinstance(grey, int) and png_bits in {2, 4}:
        white = 2**png_bits - 1
        image.info["transparency"] = (grey & white) * 255 // white


def _deep_grey(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale grey of more than 8 bits by the range that the file declares, not the one it uses."""
    levels = np.asarray(image)
    if _tag(image, _SAMPLE_FORMAT) == _SIGNED:
        return _scaled(levels, bits=_bits_of(image, levels), is_signed=True)
    if image.mode == "I":
        levels = levels.astype(np.int32).view(np.uint32)
        return _scaled(~levels if _is_white_zero(image) else levels, bits=32)
    white = 2 ** _bits_of(image, levels) - 1
    return PIL.Image.fromarray(_table(image, white)[levels])


def _table(image: PIL.Image.Image, white: int) -> Levels:
    """Map each of 65,536 levels to one of 256, with *white* as the brightest."""
    levels = np.minimum(np.arange(_16_BITS), white)
    if _is_white_zero(image):
        levels = white - levels
    table: Levels = ((levels * 255 + white // 2) // white).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int) and transparent < _16_BITS:
        table[transparent] = 255
    return table


def _scaled(
    levels: npt.NDArray[np.integer], *, bits: int, is_signed: bool = False
) -> PIL.Image.Image:
    """Scale levels from 0 to the largest that *bits* can hold.

    Raises:
        UndecodableImageError: There are negative levels, and no rule says what they mean.
    """
    if is_signed and levels.size and levels.min() < 0:
        raise UndecodableImageError("it has negative levels of grey, whose meaning is not known")
    white = 2 ** (bits - is_signed) - 1
    scaled = levels.astype(np.float32) * np.float32(255 / white)
    return PIL.Image.fromarray(np.rint(scaled, out=scaled).astype(np.uint8))


def _is_white_zero(image: PIL.Image.Image) -> bool:
    """Return the polarity of a TIFF file; the default is 0, as in Pillow and libtiff."""
    return hasattr(image, "tag_v2") and not _tag(image, _PHOTOMETRIC)


def _bits_of(image: PIL.Image.Image, levels: npt.NDArray[np.integer]) -> int:
    bits = _tag(image, _BITS)
    return bits if bits else levels.dtype.itemsize * 8


def _tag(image: PIL.Image.Image, number: int) -> int | None:
    """Return a tag of a TIFF file; None if it has none, or is no TIFF."""
    value = getattr(image, "tag_v2", {}).get(number)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0] if value else None
    return value if isinstance(value, int) else None
