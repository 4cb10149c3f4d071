"""Open a file with Pillow, and correct what its plugins read wrongly."""

from functools import cache
from io import BytesIO
from typing import Final

import PIL.Image
from PIL import AvifImagePlugin, TiffImagePlugin
from PIL.ImageFile import ImageFile, _Tile
from PIL.TiffImagePlugin import TiffImageFile

from common.formats import FORMATS
from common.headers.heif import AVIF_SIGNATURE, HEIF_SIGNATURE
from engine.decoding.colours import UndecodableImageError
from engine.decoding.metadata import tiff

HEIF: Final = "HEIF"
_HEIF_IS_MISSING: Final = (
    "it is a HEIC image, and this service was installed without what decodes those "
    "(the extra `heic`, pillow-heif); save it as JPEG"
)

# Our own limit is checked before a pixel is decoded.
PIL.Image.MAX_IMAGE_PIXELS = None
# The engine already has a thread for each of its cores. By default libheif would start as many
# threads per image as the machine has cores, even in a container that may use fewer.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

# Grey formats that Pillow can unpack but does not list: (byte order, photometric interpretation,
# sample format, fill order, bits, extra samples), and mode and raw mode. Where zero is white, the
# image is inverted later.
TiffImagePlugin.OPEN_INFO.update(
    {
        (b"MM", 0, (1,), 1, (16,), ()): ("I;16B", "I;16B"),
        (b"II", 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
        (b"MM", 0, (1,), 1, (12,), ()): ("I;16", "I;12"),
        (b"MM", 1, (1,), 1, (12,), ()): ("I;16", "I;12"),
        (b"II", 0, (1,), 1, (32,), ()): ("I", "I;32N"),
        (b"MM", 0, (1,), 1, (32,), ()): ("I", "I;32B"),
        (b"MM", 1, (1,), 1, (32,), ()): ("I", "I;32B"),
    }
)
# libtiff returns samples in the byte order of the machine, whatever the order in the file.
_OF_THE_MACHINE: Final = {
    "I;16S": "I;16NS",
    "I;16BS": "I;16NS",
    "I;32S": "I;32NS",
    "I;32BS": "I;32NS",
    "I;32B": "I;32N",
}

# BMP: of the header, by offsets in the file.
_BMP: Final = b"BM"
_PIXELS_AT: Final = 10
_HEADER_BYTES_AT: Final = 14
_BITS_AT: Final = 28
_COLOURS_AT: Final = 46
_OS2_HEADER_BYTES: Final = 12
_FILE_HEADER_BYTES: Final = 14
_MOST_COLOURS: Final = 256


def opened(image: bytes) -> ImageFile:
    """Open *image*, without decoding its pixels.

    Raises:
        UndecodableImageError: It is a HEIC image, and their decoder is not installed.
        Exception: Whatever Pillow raises over rubbish.
    """
    if tiff.is_one(image):
        return _opened_tiff(image)
    if image.startswith(_BMP):
        image = _with_one_colour_more(image)
    if HEIF not in formats_here() and _is_heif(image):
        raise UndecodableImageError(_HEIF_IS_MISSING)
    return PIL.Image.open(BytesIO(image), formats=formats_here())


def low_bytes(png: bytes) -> PIL.Image.Image:
    """Decode the lower bytes of 16-bit RGB; Pillow keeps only the upper ones."""
    file = PIL.Image.open(BytesIO(png), formats=("PNG",))
    file.tile = [tile._replace(args="RGB;16L") for tile in file.tile]
    file.load()
    return file


@cache
def formats_here() -> tuple[str, ...]:
    """Register HEIF with Pillow, and return the formats that can be decoded here."""
    try:
        import pillow_heif  # noqa: PLC0415 (an extra)
    except ImportError:
        return tuple(name for name in FORMATS if name != HEIF)
    pillow_heif.register_heif_opener(
        thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
    )
    return FORMATS


def _is_heif(image: bytes) -> bool:
    return HEIF_SIGNATURE.match(image) is not None and AVIF_SIGNATURE.match(image) is None


def _opened_tiff(image: bytes) -> TiffImageFile:
    file = TiffImageFile(BytesIO(image))
    file.tile = [_in_the_order_of_the_machine(tile) for tile in file.tile]
    return file


def _in_the_order_of_the_machine(tile: _Tile) -> _Tile:
    if tile.codec_name != "libtiff" or not isinstance(tile.args, tuple):
        return tile
    raw_mode, *rest = tile.args
    return tile._replace(args=(_OF_THE_MACHINE.get(raw_mode, raw_mode), *rest))


def _with_one_colour_more(bmp: bytes) -> bytes:
    """Pad a short palette, so that Pillow reads it as one.

    If all colours of a palette are black and white, or dark greys, Pillow reads pixels of 4 or 8
    bits as pixels of another size. With the bytes after the palette added, they are not.
    """
    if len(bmp) < _COLOURS_AT + 4:
        return bmp
    header_bytes = int.from_bytes(bmp[_HEADER_BYTES_AT : _HEADER_BYTES_AT + 4], "little")
    pixels_at = int.from_bytes(bmp[_PIXELS_AT : _PIXELS_AT + 4], "little")
    bits = int.from_bytes(bmp[_BITS_AT : _BITS_AT + 2], "little")
    colours = int.from_bytes(bmp[_COLOURS_AT : _COLOURS_AT + 4], "little") or 2**bits
    is_found_after_palette = pixels_at <= _FILE_HEADER_BYTES + header_bytes
    if header_bytes <= _OS2_HEADER_BYTES or bits not in {4, 8} or is_found_after_palette:
        return bmp
    if colours >= _MOST_COLOURS:
        return bmp
    return bmp[:_COLOURS_AT] + (colours + 1).to_bytes(4, "little") + bmp[_COLOURS_AT + 4 :]
