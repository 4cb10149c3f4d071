"""Every kind of pixel is decoded as its file declares, or refused."""

import struct
import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from engine.decoding.decode import UndecodableImageError, decode

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
BLACK_AND_WHITE = b"\0\0\0\0\xff\xff\xff\0"
Levels = npt.NDArray[Any]

# TIFF tags, and some of their values.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
SAMPLES, COLOUR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT = 277, 320, 338, 339
RAW, DEFLATED = 1, 8
WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE = 0, 1, 3


def shown(image: bytes) -> list[Any]:
    """Return the pixels of the first row."""
    rgb = decode(image, max_pixels=10_000)
    return [rgb.getpixel((x, 0)) for x in range(rgb.width)]


def a_tiff(order: str, tags: dict[int, tuple[int, bytes]], pixels: bytes) -> bytes:
    """Write a TIFF file with one strip; *tags* has type and values of each."""
    sizes = {3: 2, 4: 4}
    entries: dict[int, tuple[int, bytes]] = {
        **tags,
        273: (4, bytes(4)),
        279: (4, struct.pack(f"{order}I", len(pixels))),
    }
    behind = 8 + 2 + 12 * len(entries) + 4
    values = b"".join(value for _, (_, value) in sorted(entries.items()) if len(value) > 4)
    entries[273] = (4, struct.pack(f"{order}I", behind + len(values)))
    directory, used = b"", 0
    for tag, (kind, value) in sorted(entries.items()):
        place = value.ljust(4, b"\0")
        if len(value) > 4:
            place, used = struct.pack(f"{order}I", behind + used), used + len(value)
        directory += struct.pack(f"{order}HHI", tag, kind, len(value) // sizes[kind]) + place
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}IH", 8, len(entries))
    return head + directory + bytes(4) + values + pixels


def a_grey_tiff(
    levels: Levels,
    order: str = "<",
    shorts: Mapping[int, int] | None = None,
    more: Mapping[int, tuple[int, bytes]] | None = None,
) -> bytes:
    """Write one row of *levels*; *shorts* and *more* add tags or replace the usual ones."""
    plain = {
        WIDTH: levels.size,
        HEIGHT: 1,
        BITS: 8 * levels.dtype.itemsize,
        COMPRESSION: RAW,
        PHOTOMETRIC: BLACK_IS_ZERO,
        SAMPLES: 1,
        SAMPLE_FORMAT: 1,
        **(shorts or {}),
    }
    tags = {tag: (3, struct.pack(f"{order}H", value)) for tag, value in plain.items()}
    pixels = levels.astype(levels.dtype.newbyteorder(order)).tobytes()  # type: ignore[arg-type]
    content = zlib.compress(pixels) if plain[COMPRESSION] == DEFLATED else pixels
    return a_tiff(order, {**tags, **(more or {})}, content)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def a_png(bits: int, colour_type: int, row: bytes, width: int, **chunks: bytes) -> bytes:
    """Write a PNG of one row; *chunks* come before the pixels."""
    header = struct.pack(">IIBBBBB", width, 1, bits, colour_type, 0, 0, 0)
    before = b"".join(chunk(kind.encode(), content) for kind, content in chunks.items())
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels + chunk(b"IEND", b"")


def a_bmp(bits: int, palette: bytes, row: bytes, width: int) -> bytes:
    pixels_at = 14 + 40 + len(palette)
    head = struct.pack("<IHHI", pixels_at + len(row), 0, 0, pixels_at)
    info = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, bits, 0, 0, 0, 0, len(palette) // 4, 0)
    return b"BM" + head + info + palette + row


UNSIGNED = [np.array([0, top], kind) for kind, top in ((np.uint16, 65_535), (np.uint32, 2**32 - 1))]
SIGNED = [np.array([0, top], kind) for kind, top in ((np.int16, 32_767), (np.int32, 2**31 - 1))]


@pytest.mark.parametrize("compression", [RAW, DEFLATED])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("levels", UNSIGNED, ids=lambda levels: levels.dtype.name)
def test_deep_grey_has_its_polarity_in_both_byte_orders(
    levels: Levels, order: str, compression: int
) -> None:
    for polarity, expected in ((BLACK_IS_ZERO, [BLACK, WHITE]), (WHITE_IS_ZERO, [WHITE, BLACK])):
        tags = {PHOTOMETRIC: polarity, COMPRESSION: compression}

        assert shown(a_grey_tiff(levels, order, tags)) == expected


@pytest.mark.parametrize("compression", [RAW, DEFLATED])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("levels", SIGNED, ids=lambda levels: levels.dtype.name)
def test_signed_grey_is_scaled_by_its_positive_half_in_both_byte_orders(
    levels: Levels, order: str, compression: int
) -> None:
    quarter = levels // 4  # it would be negative in the wrong byte order
    tags = {SAMPLE_FORMAT: 2, COMPRESSION: compression}

    assert shown(a_grey_tiff(quarter, order, tags)) == [BLACK, (64,) * 3]


@pytest.mark.parametrize("order", "<>")
def test_negative_grey_is_refused(order: str) -> None:
    with pytest.raises(UndecodableImageError, match="negative"):
        shown(a_grey_tiff(np.array([-5, 100], np.int16), order, {SAMPLE_FORMAT: 2}))


@pytest.mark.parametrize("order", "<>")
def test_twelve_bits_are_scaled_as_twelve(order: str) -> None:
    packed = np.frombuffer(b"\xff\xf0\x00", np.uint8)

    for polarity, expected in ((BLACK_IS_ZERO, [WHITE, BLACK]), (WHITE_IS_ZERO, [BLACK, WHITE])):
        tags = {WIDTH: 2, BITS: 12, PHOTOMETRIC: polarity}

        assert shown(a_grey_tiff(packed, order, tags)) == expected


def test_the_transparent_colour_of_sixteen_bits_is_that_one_alone() -> None:
    row = struct.pack(">9H", 0, 0, 0, 0, 0, 0x33, 65_535, 0, 0)

    pixels = shown(a_png(16, 2, row, 3, tRNS=bytes(6)))

    assert pixels == [WHITE, BLACK, (255, 0, 0)]


@pytest.mark.parametrize(
    ("png", "expected"),
    [
        pytest.param(
            a_png(8, 3, b"\0\1", 2, PLTE=bytes([9] * 6), tRNS=bytes(300)),
            [(9, 9, 9)] * 2,
            id="longer than the palette",
        ),
        pytest.param(
            a_png(8, 2, bytes(range(6)), 2, tRNS=b"\0"), [(0, 1, 2), (3, 4, 5)], id="too short"
        ),
        pytest.param(
            a_png(8, 0, b"\x64\5", 2).replace(
                chunk(b"IEND", b""), chunk(b"tRNS", b"\0\x64") + chunk(b"IEND", b"")
            ),
            [(100,) * 3, (5,) * 3],
            id="after the pixels",
        ),
    ],
)
def test_a_transparency_that_breaks_the_rules_is_passed_over(
    png: bytes, expected: list[Any]
) -> None:
    assert shown(png) == expected


def test_only_the_bits_of_a_sample_count_of_a_transparent_grey() -> None:
    assert shown(a_png(2, 0, bytes([0b00_01_11_00]), 4, tRNS=b"\0\x07"))[2] == WHITE
    assert shown(a_png(4, 0, bytes([0x05]), 2, tRNS=b"\0\x05")) == [BLACK, WHITE]


@pytest.mark.parametrize("bits", [4, 8])
def test_a_bmp_whose_palette_is_black_and_white_alone_keeps_its_bits(bits: int) -> None:
    row = b"\x01\x01\0\0" if bits == 4 else b"\0\1\0\1"

    assert shown(a_bmp(bits, BLACK_AND_WHITE, row, 4)) == [BLACK, WHITE] * 2


def test_a_bmp_of_sixteen_dark_greys_keeps_its_bits() -> None:
    palette = b"".join(bytes([level] * 3 + [0]) for level in range(16))

    assert shown(a_bmp(4, palette, b"\x0f\0\0\0", 2)) == [BLACK, (15,) * 3]


def test_what_the_first_frame_of_a_gif_leaves_free_is_white() -> None:
    buffer = BytesIO()
    frame = PIL.Image.new("P", (4, 4))
    frame.putpalette([200, 0, 0])
    frame.save(buffer, "GIF")
    gif = bytearray(buffer.getvalue())
    gif[6:10] = struct.pack("<HH", 10, 10)
    place = gif.index(b",") + 1
    gif[place : place + 4] = struct.pack("<HH", 3, 0)

    assert shown(bytes(gif)) == [WHITE] * 3 + [(200, 0, 0)] * 4 + [WHITE] * 3


def test_a_tiff_palette_of_eight_bits_is_not_black() -> None:
    colours = {COLOUR_MAP: (3, struct.pack("<768H", *([0, 255] + [0] * 766)))}

    image = a_grey_tiff(np.array([0, 1], np.uint8), "<", {PHOTOMETRIC: PALETTE}, colours)

    assert shown(image) == [BLACK, (255, 0, 0)]


def test_grey_that_is_multiplied_by_its_alpha_shows_white_paper() -> None:
    two = {BITS: (3, struct.pack("<HH", 8, 8)), SAMPLE_FORMAT: (3, struct.pack("<HH", 1, 1))}
    tags = {WIDTH: 2, SAMPLES: 2, EXTRA_SAMPLES: 1}

    pixels = shown(a_grey_tiff(np.array([100, 255, 0, 0], np.uint8), "<", tags, two))

    assert pixels == [(100,) * 3, WHITE]
