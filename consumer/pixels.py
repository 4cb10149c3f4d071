"""From the bytes of an image to upright RGB pixels."""

import warnings
from io import BytesIO
from typing import Final

import numpy as np
import PIL.Image
from PIL import ImageOps

from common.errors import PermanentError
from common.formats import FORMATS

# Our own limit is checked below, before a pixel is decoded.
PIL.Image.MAX_IMAGE_PIXELS = None

_PAPER: Final = (255, 255, 255, 255)
_LEVELS_16_TO_8: Final = 257  # 65535 / 255


class UndecodableImageError(PermanentError):
    """The bytes are no image that can be decoded: the client's mistake, not an outage."""


def decode(image: bytes, *, max_pixels: int, enough_px: int = 0) -> PIL.Image.Image:
    """Decode the first frame of *image*, turned upright by its EXIF orientation.

    Transparency shows white paper; 16-bit greyscale is scaled to 8 bits.

    Args:
        image: A file of any of the formats that are accepted.
        max_pixels: The largest image that is decoded.
        enough_px: A JPEG file may be decoded at a half, a quarter or an eighth of its size, in
            the transform that it is made of, as long as its shorter side keeps this; 0: never.

    Returns:
        An image of mode ``RGB``.

    Raises:
        UndecodableImageError: It is truncated, broken, too large, or of an unknown kind.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but harmless metadata
            with PIL.Image.open(BytesIO(image), formats=FORMATS) as opened:
                _check_size(opened, max_pixels)
                if enough_px:
                    opened.draft(None, (enough_px, enough_px))
                opened.load()
                ImageOps.exif_transpose(opened, in_place=True)
                return _to_rgb(opened)
    except (UndecodableImageError, MemoryError):
        raise
    except Exception as exc:  # Pillow's parsers raise anything at all on rubbish
        raise UndecodableImageError(f"{type(exc).__name__}: {exc}") from exc


def _check_size(image: PIL.Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise UndecodableImageError(f"it has more than {max_pixels} pixels")


def _to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_16_bits(image).convert("RGB")
    if image.mode == "F":
        raise UndecodableImageError("it has floating-point pixels, whose range is not known")
    if image.has_transparency_data:
        paper = PIL.Image.new("RGBA", image.size, _PAPER)
        return PIL.Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale 16-bit greyscale to 8 bits; Pillow's own conversion would clip it at 255."""
    levels = np.asarray(image).astype(np.int64).clip(0, 65_535)
    return PIL.Image.fromarray(((levels + _LEVELS_16_TO_8 // 2) // _LEVELS_16_TO_8).astype("uint8"))
