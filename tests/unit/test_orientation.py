"""Of all metadata only the orientation counts, and what is wrong with the rest fails no image."""

import struct
import zlib
from io import BytesIO

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Exif, Transpose

from consumer.exif import orientation_of
from consumer.pixels import decode
from tests.examples import an_image

ORIENTATION = 0x0112
TURNS = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
# Each of the four quarters has a colour of its own.
PICTURE = PIL.Image.new("RGB", (48, 32))
for number, colour in enumerate(["red", "lime", "blue", "white"]):
    PICTURE.paste(colour, (number % 2 * 24, number // 2 * 16, number % 2 * 24 + 24, 32))

# The number of a type, and the bytes of one value of it.
TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 99: 4}

ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 0xFFFF).filter(lambda tag: tag != ORIENTATION),
        st.sampled_from(sorted(TYPES)),
        st.sampled_from([0, 1, 2, 3, 1000, 2**32 - 1]),
        st.binary(min_size=4, max_size=4),
    ),
    max_size=6,
)


def exif_of(order: str, entries: list[tuple[int, int, int, bytes]], orientation: int) -> bytes:
    """Write EXIF data with odd entries beside a good orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(f"{order}HH", orientation, 0)
    all_entries = sorted([*entries, (ORIENTATION, 3, 1, value)])
    directory = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + value
        for tag, kind, count, value in all_entries
    )
    count = struct.pack(f"{order}H", len(all_entries))
    return mark + struct.pack(f"{order}I", 8) + count + directory + bytes(4)


def encoded(image_format: str, exif: bytes = b"") -> bytes:
    """Write the picture, and EXIF data as they are, without Pillow's help."""
    match image_format:
        case "JPEG":
            return _jpeg(b"Exif\0\0" + exif)
        case "PNG":
            return _png(b"eXIf", exif)
        case "PNG by ImageMagick":
            digits = exif.hex().encode()
            return _png(b"tEXt", b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(exif), digits))
        case "PNG by ImageMagick, compressed":
            digits = exif.hex().encode()
            text = zlib.compress(b"\nexif\n%8d\n%s\n" % (len(exif), digits))
            return _png(b"zTXt", b"Raw profile type exif\0\0" + text)
    buffer = BytesIO()
    PICTURE.save(buffer, image_format, lossless=True, exif=b"Exif\0\0" + exif)
    return buffer.getvalue()


def _jpeg(segment: bytes) -> bytes:
    buffer = BytesIO()
    PICTURE.save(buffer, "JPEG", quality=95, subsampling=0)
    plain = buffer.getvalue()
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


def _png(kind: bytes, content: bytes) -> bytes:
    buffer = BytesIO()
    PICTURE.save(buffer, "PNG")
    plain, after_ihdr = buffer.getvalue(), 33
    checksum = zlib.crc32(kind + content)
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    return plain[:after_ihdr] + chunk + plain[after_ihdr:]


def looks_like(image: PIL.Image.Image, expected: PIL.Image.Image) -> bool:
    """Compare the middles of the four quarters."""
    if image.size != expected.size:
        return False
    (width, height) = image.size
    middles = [(x, y) for x in (width // 4, width * 3 // 4) for y in (height // 4, height * 3 // 4)]
    pairs = [(image.getpixel(at), expected.getpixel(at)) for at in middles]
    return all(
        abs(one - other) < 40
        for a, b in pairs
        for one, other in zip(a, b, strict=True)  # type: ignore[arg-type]  # three levels each
    )


def turned(orientation: int) -> PIL.Image.Image:
    turn = TURNS[orientation]
    return PICTURE if turn is None else PICTURE.transpose(turn)


WITH_EXIF = ["JPEG", "PNG", "PNG by ImageMagick", "PNG by ImageMagick, compressed", "WEBP"]


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("image_format", WITH_EXIF)
@pytest.mark.parametrize("order", "<>")
def test_an_image_is_turned_by_its_orientation(
    image_format: str, orientation: int, order: str
) -> None:
    image = decode(encoded(image_format, exif_of(order, [], orientation)), max_pixels=10**6)

    assert looks_like(image, turned(orientation))


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("image_format", ["TIFF", "AVIF", "HEIF"])
def test_an_image_that_pillow_wrote_is_turned_once(image_format: str, orientation: int) -> None:
    exif = Exif()
    exif[ORIENTATION] = orientation
    buffer = BytesIO()
    PICTURE.save(buffer, image_format, exif=exif, quality=95)

    image = decode(buffer.getvalue(), max_pixels=10**6)

    # HEIF turns by its container alone, and Pillow's plugin writes none.
    expected = PICTURE if image_format == "HEIF" else turned(orientation)
    assert looks_like(image, expected)


@given(st.sampled_from(WITH_EXIF), st.sampled_from("<>"), ENTRIES, st.sampled_from(sorted(TURNS)))
def test_odd_tags_beside_the_orientation_change_nothing(
    image_format: str,
    order: str,
    entries: list[tuple[int, int, int, bytes]],
    orientation: int,
) -> None:
    image = decode(encoded(image_format, exif_of(order, entries, orientation)), max_pixels=10**6)

    assert looks_like(image, turned(orientation))


@given(st.sampled_from(WITH_EXIF), st.binary(max_size=200))
def test_rubbish_instead_of_exif_data_fails_no_image(image_format: str, rubbish: bytes) -> None:
    image = decode(encoded(image_format, rubbish), max_pixels=10**6)

    assert sorted(image.size) == [32, 48]


@given(st.binary(max_size=100))
def test_any_bytes_have_an_orientation(rubbish: bytes) -> None:
    assert orientation_of(rubbish) in TURNS
    assert orientation_of(b"II*\0\x08\0\0\0" + rubbish) in TURNS


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_exif_data_that_no_plugin_can_write_anew_fail_no_image(image_format: str) -> None:
    odd = exif_of("<", [(0x011A, 10, 1, b"\x7f\0\0\0"), (0x0132, 5, 0, bytes(4))], 6)
    holder = Exif()
    holder[0x010E] = "x" * (len(odd) + 40)
    buffer = BytesIO()
    PICTURE.save(buffer, image_format, exif=holder, quality=95)
    file = buffer.getvalue()
    start = max(file.find(b"II*\0\x08\0\0\0"), file.find(b"MM\0*\0\0\0\x08"))
    assert start > 0
    patched = file[:start] + odd + file[start + len(odd) :]

    image = decode(patched, max_pixels=10**6)

    assert looks_like(image, PICTURE)


def test_an_orientation_behind_a_megabyte_of_other_segments_is_found_quickly() -> None:
    plain = encoded("JPEG", exif_of("<", [], 6))
    segment = b"\xff\xe2\x00\x04ab"
    patched = plain[:2] + segment * 150_000 + plain[2:]

    image = decode(patched, max_pixels=10**6)

    assert looks_like(image, turned(6))


def test_a_picture_without_metadata_stays_as_it_is() -> None:
    assert decode(an_image("PNG", size=(5, 4)), max_pixels=100).size == (5, 4)
