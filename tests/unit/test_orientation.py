"""Only the orientation is read from metadata, and invalid metadata fail no image."""

import struct
import zlib
from functools import lru_cache
from io import BytesIO

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Exif, Transpose

from common.headers.boxes import Box
from engine.decoding.decode import decode
from engine.decoding.exif import orientation_of
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

# The number of a type, and how many bytes one value has.
TYPES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 99: 4}

# TIFF tags that say where the pixels are and what they mean, or contradict such tags.
TIFF_PIXELS = frozenset(range(256, 350)) | frozenset(range(512, 533))

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
    """Write EXIF data with odd entries and a valid orientation."""
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
    """Write the picture and these EXIF data without Pillow."""
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


def a_tiff(order: str, entries: list[tuple[int, int, int, bytes]], orientation: int) -> bytes:
    """Write the picture as a TIFF file with odd entries among those that it needs."""
    pixels = PICTURE.tobytes()
    needed = {256: 48, 257: 32, 258: 8, 259: 1, 262: 2, 273: 8, 277: 3, ORIENTATION: orientation}
    tags = [(tag, 3, 1, struct.pack(f"{order}HH", value, 0)) for tag, value in needed.items()]
    tags.append((279, 4, 1, struct.pack(f"{order}I", len(pixels))))
    directory = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + value
        for tag, kind, count, value in sorted([*tags, *entries])
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    places = struct.pack(f"{order}I", 8 + len(pixels))
    count = struct.pack(f"{order}H", len(tags) + len(entries))
    return mark + places + pixels + count + directory + bytes(4)


def looks_like(image: PIL.Image.Image, expected: PIL.Image.Image) -> bool:
    """Compare the centres of the four quarters."""
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

    # Only the container of a HEIF file holds its orientation, and Pillow's plugin writes none.
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


@given(st.sampled_from("<>"), ENTRIES, st.sampled_from(sorted(TURNS)))
def test_odd_tags_of_a_tiff_change_nothing(
    order: str, entries: list[tuple[int, int, int, bytes]], orientation: int
) -> None:
    odd = [entry for entry in entries if entry[0] not in TIFF_PIXELS]

    image = decode(a_tiff(order, odd, orientation), max_pixels=10**6)

    assert looks_like(image, turned(orientation))


@pytest.mark.parametrize("tag", [282, 283, 296, 305, 330, 700, 33432, 34377, 34665, 34675])
@pytest.mark.parametrize("kind", TYPES)
def test_a_known_tag_of_a_tiff_may_be_of_any_type(tag: int, kind: int) -> None:
    """Resolution, its unit, software, and where text, profiles and other directories are."""
    for count in (0, 1, 2, 2**31):
        image = decode(a_tiff("<", [(tag, kind, count, b"\3\0\0\0")], 6), max_pixels=10**6)

        assert looks_like(image, turned(6))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_bigtiff_is_turned_by_its_orientation(orientation: int) -> None:
    exif = Exif()
    exif[ORIENTATION] = orientation
    buffer = BytesIO()
    PICTURE.save(buffer, "TIFF", exif=exif, big_tiff=True)

    assert looks_like(decode(buffer.getvalue(), max_pixels=10**6), turned(orientation))


@given(st.binary(max_size=100))
def test_any_bytes_have_an_orientation(rubbish: bytes) -> None:
    assert orientation_of(rubbish) in TURNS
    assert orientation_of(b"II*\0\x08\0\0\0" + rubbish) in TURNS


@lru_cache
def with_room_for_exif(image_format: str) -> tuple[bytes, slice]:
    """Return a file, and where its EXIF data are."""
    holder = Exif()
    holder[0x010E] = "x" * 200
    buffer = BytesIO()
    PICTURE.save(buffer, image_format, exif=holder, quality=95)
    file = buffer.getvalue()
    start = max(file.find(b"II*\0"), file.find(b"MM\0*"))
    return file, slice(start, file.index(b"x" * 200) + 200)


def with_exif(image_format: str, exif: bytes) -> bytes:
    file, room = with_room_for_exif(image_format)
    return file[: room.start] + exif.ljust(room.stop - room.start, b"\0") + file[room.stop :]


@given(st.sampled_from(["AVIF", "HEIF"]), st.binary(max_size=200))
def test_rubbish_instead_of_the_exif_data_of_a_container_fails_no_image(
    image_format: str, rubbish: bytes
) -> None:
    image = decode(with_exif(image_format, rubbish), max_pixels=10**6)

    assert looks_like(image, PICTURE)


@given(st.sampled_from(["AVIF", "HEIF"]), st.sampled_from("<>"), ENTRIES)
def test_odd_tags_and_the_orientation_of_a_container_change_nothing(
    image_format: str, order: str, entries: list[tuple[int, int, int, bytes]]
) -> None:
    image = decode(with_exif(image_format, exif_of(order, entries, 6)), max_pixels=10**6)

    assert looks_like(image, PICTURE)


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", len(body) + 8, kind) + body


@pytest.mark.parametrize(("quarters", "orientation"), [(1, 8), (2, 3), (3, 6)])
def test_a_heic_that_its_container_turns_is_turned_once_whatever_its_exif_data_say(
    quarters: int, orientation: int
) -> None:
    file = with_exif("HEIF", exif_of(">", [], orientation))

    image = decode(turned_by_container(file, quarters), max_pixels=10**6)

    assert looks_like(image, turned(orientation))


def turned_by_container(heif: bytes, quarters: int) -> bytes:
    """Turn a HEIF image to the left, by a property more of all of its items.

    What comes before the pixels keeps its length, and a new meta box comes behind them.
    """
    meta = Box(heif, 0, len(heif)).first(b"meta")
    old = heif[meta.start : meta.end]
    _, _, content = meta.versioned()
    properties = content.first(b"iprp")
    shared = properties.first(b"ipco")
    kept = heif[shared.start : shared.end]
    primary = content.first(b"pitm").versioned()[2].unpack(">H")[0]
    used = bytes(range(1, len(list(shared.boxes())) + 2))
    association = box(b"ipma", struct.pack(">IIHB", 0, 1, primary, len(used)), used)
    iprp = box(b"iprp", box(b"ipco", kept, box(b"irot", bytes([quarters]))), association)
    others = [
        box(other.kind, heif[other.start : other.end])
        for other in content.boxes()
        if other.kind != b"iprp"
    ]
    hidden = heif[: meta.start - 4] + b"free" + heif[meta.start :]
    return hidden + box(b"meta", old[:4], *others, iprp)


def test_an_orientation_behind_a_megabyte_of_other_segments_is_found_quickly() -> None:
    plain = encoded("JPEG", exif_of("<", [], 6))
    segment = b"\xff\xe2\x00\x04ab"
    patched = plain[:2] + segment * 150_000 + plain[2:]

    image = decode(patched, max_pixels=10**6)

    assert looks_like(image, turned(6))


def test_a_picture_without_metadata_stays_as_it_is() -> None:
    assert decode(an_image("PNG", size=(5, 4)), max_pixels=100).size == (5, 4)
