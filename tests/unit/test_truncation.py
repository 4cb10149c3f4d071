"""A file without its end is decoded if all pixels are there, or else refused."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import PIL.Image
import pytest

from engine.decoding.decode import UndecodableImageError, decode

_SIZE = (40, 24)
_STEP = 5  # of the cuts far from the end; all of those near it
_NEAR_BYTES = 130


def noisy() -> PIL.Image.Image:
    levels = np.random.default_rng(0).integers(60, 200, (_SIZE[1], _SIZE[0], 3), dtype=np.uint8)
    return PIL.Image.fromarray(levels).resize((_SIZE[0] * 2, _SIZE[1] * 2)).resize(_SIZE)


def written(mode: str, image_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    noisy().convert(mode).save(buffer, image_format, **options)
    return buffer.getvalue()


FLAT = BytesIO()
PIL.Image.new("RGB", _SIZE, (90, 140, 30)).save(FLAT, "JPEG", restart_marker_blocks=3)

JPEGS: Mapping[str, bytes] = {
    "baseline": written("RGB", "JPEG"),
    "no subsampling": written("RGB", "JPEG", subsampling=0, quality=95),
    "grey": written("L", "JPEG"),
    "CMYK": written("CMYK", "JPEG"),
    "restarts": written("RGB", "JPEG", restart_marker_blocks=2),
    "progressive": written("RGB", "JPEG", progressive=True),
    "progressive grey": written("L", "JPEG", progressive=True),
    "one colour": FLAT.getvalue(),
}
OTHERS: Mapping[str, bytes] = {
    "PNG": written("RGB", "PNG"),
    "PNG, palette": written("P", "PNG"),
    "GIF": written("P", "GIF"),
    "BMP": written("RGB", "BMP"),
    "TIFF": written("RGB", "TIFF"),
    "TIFF, LZW": written("RGB", "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG": written("RGB", "TIFF", compression="jpeg"),
    "TIFF, fax": written("1", "TIFF", compression="group4"),
    "WebP": written("RGB", "WEBP"),
    "AVIF": written("RGB", "AVIF"),
    "HEIF": written("RGB", "HEIF"),
}
ALL: Mapping[str, bytes] = {**JPEGS, **OTHERS}


def pixels_of(image: bytes, enough_px: int = 0) -> bytes | None:
    """Return the pixels, or None if the image is refused."""
    try:
        return decode(image, max_pixels=10_000, enough_px=enough_px).tobytes()
    except UndecodableImageError:
        return None


def cuts_of(image: bytes) -> list[bytes]:
    near = min(len(image), _NEAR_BYTES)
    missing = [*range(1, near), *range(near, len(image), _STEP)]
    return [image[:-count] for count in missing]


@pytest.mark.parametrize("enough_px", [0, 8])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_decoded(kind: str, enough_px: int) -> None:
    whole = JPEGS[kind]
    expected = pixels_of(whole, enough_px)

    for missing in (1, 2):
        assert pixels_of(whole[:-missing], enough_px) == expected


@pytest.mark.parametrize("kind", ALL)
def test_no_pixel_is_made_up_wherever_a_file_is_cut_off(kind: str) -> None:
    whole = ALL[kind]
    expected = pixels_of(whole)
    assert expected is not None

    made_up = [
        len(whole) - len(cut) for cut in cuts_of(whole) if pixels_of(cut) not in {expected, None}
    ]

    assert made_up == []


def test_a_png_that_lacks_only_its_end_is_decoded() -> None:
    whole = OTHERS["PNG"]

    assert pixels_of(whole[:-12]) == pixels_of(whole)


@pytest.mark.parametrize("kind", ALL)
def test_a_refusal_speaks_to_whoever_sent_the_file(kind: str) -> None:
    whole = ALL[kind]

    for cut in cuts_of(whole)[:: _STEP * 3]:
        try:
            decode(cut, max_pixels=10_000)
        except UndecodableImageError as refusal:
            words = str(refusal)
            assert words.startswith("it ")
            assert not any(name in words for name in ("Error", "BytesIO", "decoder", "PIL", "()"))
