"""From the bytes of an image to upright RGB pixels."""

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Final

import PIL.Image
import structlog
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile

from common.formats import FORMATS
from engine.decoding.colours import UndecodableImageError, to_rgb
from engine.decoding.exif import UPRIGHT, orientation_of
from engine.decoding.metadata import jpeg, png
from engine.decoding.metadata.stripping import stripped
from engine.decoding.opening import HEIF, low_bytes, opened

__all__ = ["UndecodableImageError", "decode"]

log = structlog.stdlib.get_logger(__name__)

_16_BITS: Final = 16
_KIND: Final = "it is of a kind that cannot be decoded here; save it as a plain JPEG or PNG"
# Messages of Pillow and its libraries, and what they mean to the sender. The first match counts.
_WORDS: Final = (
    (r"truncated|not enough|end of file", "it is truncated: some of its pixels are missing"),
    (r"checksum", "one of its checksums is wrong: it was damaged on its way"),
    (r"pixel mode|data organization|unsupported|not supported|cannot handle", _KIND),
    (r"limit", "it takes more memory than its header says"),
)

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
    orientation counts; faults in the rest fail no image.

    Args:
        image: A file of any of the formats that are accepted.
        max_pixels: The largest image that is decoded.
        enough_px: A JPEG file may be decoded at a half, a quarter or an eighth of its size (DCT
            scaling) as long as its shorter side is at least this; 0: never.

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
    except Exception as exc:  # on rubbish Pillow's parsers raise errors of any kind
        log.info("an image could not be decoded", error=repr(exc))
        raise UndecodableImageError(_in_words(exc)) from exc


def _decoded(image: bytes, max_pixels: int, enough_px: int) -> PIL.Image.Image:
    file = stripped(image)

    def load(content: bytes) -> PIL.Image.Image:
        opened_file = opened(content)
        if opened_file.width * opened_file.height > max_pixels:
            raise UndecodableImageError(f"it has more than {max_pixels} pixels")
        if enough_px:
            opened_file.draft(None, (enough_px, enough_px))
        turn = _TURNS.get(file.orientation or _orientation(opened_file))
        rgb = _loaded(opened_file, content)
        return rgb if turn is None else rgb.transpose(turn)

    try:
        return load(file.image)
    except OSError as exc:
        if not (jpeg.is_one(image) and "truncated" in str(exc)):
            raise
        ended = _with_an_end(file.image, load)
        if ended is None:
            raise
        return ended


def _loaded(file: ImageFile, content: bytes) -> PIL.Image.Image:
    frame = file.tile[0].extents if file.format == "GIF" else None
    file.load()
    bits = png.bits_of(content)
    halves = (lambda: low_bytes(content)) if bits == _16_BITS else None
    rgb = to_rgb(file, png_bits=bits, low_bytes=halves)
    if frame is None or frame == (0, 0, *rgb.size):
        return rgb
    # The parts that a GIF frame does not cover are transparent.
    paper = PIL.Image.new("RGB", rgb.size, "white")
    paper.paste(rgb.crop(frame), frame)
    return paper


def _with_an_end(image: bytes, load: Callable[[bytes], PIL.Image.Image]) -> PIL.Image.Image | None:
    """Decode a JPEG that lacks its end marker; return None if it lacks pixels, too."""
    if not jpeg.has_all_scans(image):
        return None
    probes = jpeg.probes(image)
    decoded = load(next(probes))
    digest = _digest(decoded)
    return decoded if all(_digest(load(probe)) == digest for probe in probes) else None


def _digest(image: PIL.Image.Image) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()


def _orientation(file: ImageFile) -> int:
    """Return the orientation of a file that is open and not loaded, as Pillow has it.

    For AVIF that is the rotation of the container; libheif has turned a HEIF image already.
    """
    return UPRIGHT if file.format == HEIF else orientation_of(file.info.get("exif", b""))


def _in_words(error: Exception) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):
        return f"it has a broken header, or is in none of the formats {', '.join(FORMATS)}"
    for pattern, words in _WORDS:
        if re.search(pattern, str(error), re.IGNORECASE):
            return words
    return "it is damaged, or of a kind that cannot be decoded here"
