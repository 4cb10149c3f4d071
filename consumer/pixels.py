"""From the bytes of an image to upright RGB pixels."""

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from typing import Final

import PIL.Image
from PIL.Image import Transpose
from PIL.TiffImagePlugin import TiffImageFile

from common.formats import FORMATS
from consumer.colours import UndecodableImageError, to_rgb
from consumer.exif import UPRIGHT, orientation_of
from consumer.metadata import stripped

__all__ = ["UndecodableImageError", "decode"]

# Our own limit is checked below, before a pixel is decoded.
PIL.Image.MAX_IMAGE_PIXELS = None

_HEIF: Final = "HEIF"
_JPEG: Final = b"\xff\xd8\xff"
_END_OF_JPEG: Final = b"\xff\xd9"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_BITS_AT: Final = 24  # of the file: in the chunk IHDR
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*")
_ISO_MEDIA: Final = re.compile(rb"....ftyp", re.DOTALL)
_TIFF_ORIENTATION: Final = 0x0112

_TURNS: Final[Mapping[int, Transpose]] = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def decode(image: bytes, *, max_pixels: int, enough_px: int = 0) -> PIL.Image.Image:
    """Decode the first frame of *image*, turned upright by its orientation.

    Transparent areas become white; grey of more than 8 bits is scaled. Of the metadata only the
    orientation counts, and nothing that is wrong with the rest fails an image.

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
            return _decoded(image, max_pixels, enough_px)
    except (UndecodableImageError, MemoryError):
        raise
    except Exception as exc:  # Pillow's parsers raise anything at all on rubbish
        raise UndecodableImageError(_in_words(exc)) from exc


def _decoded(image: bytes, max_pixels: int, enough_px: int) -> PIL.Image.Image:
    file = stripped(image)

    def load(content: bytes) -> PIL.Image.Image:
        opened = _opened(content)
        if opened.width * opened.height > max_pixels:
            raise UndecodableImageError(f"it has more than {max_pixels} pixels")
        if enough_px:
            opened.draft(None, (enough_px, enough_px))
        turn = _TURNS.get(_orientation(opened) if file.orientation is None else file.orientation)
        opened.load()
        rgb = to_rgb(opened, png_bits=image[_PNG_BITS_AT] if image.startswith(_PNG) else 0)
        return rgb if turn is None else rgb.transpose(turn)

    try:
        return load(file.image)
    except OSError as exc:
        if not (image.startswith(_JPEG) and "truncated" in str(exc)):
            raise
        return _with_an_end(file.image, load) or _refuse_truncated(exc)


def _with_an_end(jpeg: bytes, load: Callable[[bytes], PIL.Image.Image]) -> PIL.Image.Image | None:
    """Decode a JPEG that lacks its end marker; None if it lacks pixels too.

    libjpeg makes up pixels that are missing, without an error. It makes up others if there are
    other bytes before the end, which count for nothing where all pixels are there.
    """
    body = jpeg.removesuffix(b"\xff")
    made_up = hashlib.sha256(load(body + b"\x55" * 64 + _END_OF_JPEG).tobytes()).digest()
    image = load(body + _END_OF_JPEG)
    return image if hashlib.sha256(image.tobytes()).digest() == made_up else None


def _refuse_truncated(error: OSError) -> PIL.Image.Image:
    raise UndecodableImageError(_in_words(error)) from error


def _opened(image: bytes) -> PIL.Image.Image:
    if image.startswith(_TIFF):
        return _PlainTiff(BytesIO(image))
    if not _ISO_MEDIA.match(image):
        return PIL.Image.open(BytesIO(image), formats=_formats())
    try:
        return PIL.Image.open(BytesIO(image), formats=_formats())
    except Exception:  # noqa: BLE001 (the plugins write EXIF data anew, and raise what they like)
        return PIL.Image.open(BytesIO(_without_exif(image)), formats=_formats())


class _PlainTiff(TiffImageFile):
    """A TIFF file that does not turn itself: Pillow writes all of its EXIF data anew for that."""

    def getexif(self) -> PIL.Image.Exif:
        return PIL.Image.Exif()


def _orientation(image: PIL.Image.Image) -> int:
    """Return the orientation of an image that is open and not loaded, as Pillow has it.

    For AVIF that is the rotation of the container; libheif has turned a HEIF image already.
    """
    if isinstance(image, TiffImageFile):
        found = image.tag_v2.get(_TIFF_ORIENTATION)
        return found if isinstance(found, int) else UPRIGHT
    return UPRIGHT if image.format == _HEIF else orientation_of(image.info.get("exif", b""))


def _without_exif(image: bytes) -> bytes:
    """Empty the first directory of any EXIF data; nothing else in the file moves.

    AVIF and HEIF have the orientation that counts outside of EXIF.
    """
    for header in (rb"II\*\0\x08\0\0\0", rb"MM\0\*\0\0\0\x08"):
        image = re.sub(b"(" + header + rb")..", rb"\1" + bytes(2), image, flags=re.DOTALL)
    return image


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that can be decoded here, after teaching Pillow HEIF."""
    try:
        import pillow_heif  # noqa: PLC0415 (an extra)
    except ImportError:
        return tuple(name for name in FORMATS if name != _HEIF)
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return FORMATS


def _in_words(error: Exception) -> str:
    """Say what is wrong to whoever sent the file, who has never heard of Pillow."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return f"its header is broken, or it is in none of the formats {', '.join(_formats())}"
    if "truncated" in str(error):
        return "it is truncated: some of its pixels are missing"
    return f"it is broken, or of a kind that cannot be decoded ({error})"
