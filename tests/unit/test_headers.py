"""Headers of all formats: the dimensions are those that Pillow reads, at a bounded cost."""

import struct
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Exif

from common.formats import FORMATS
from common.headers.reading import Header, UnreadableHeaderError, read_header
from tests.examples import an_image

# What no input may cost, of 10 MB and beside itself. The time is five times what is promised,
# since a test runs beside others.
MOST_CPU_S = 0.25
MOST_BYTES = 16 * 1024**2
SIZE = 10 * 1024**2


def encoded(image_format: str, mode: str, size: tuple[int, int], **options: object) -> bytes:
    buffer = BytesIO()
    PIL.Image.new(mode, size).save(buffer, image_format, **options)
    return buffer.getvalue()


OPTIONS: list[tuple[str, str, dict[str, Any]]] = [
    *(("JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "RGB", {"comment": b"x" * 60_000, "icc_profile": b"p" * 200_000}),
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(("WEBP", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (0, 1)),
    ("WEBP", "RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    ("GIF", "P", {"comment": "x" * 5000}),
    *(("BMP", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
    *(("TIFF", mode, {}) for mode in ("1", "L", "I;16", "RGB", "CMYK", "F")),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"big_tiff": True}),
    *(("AVIF", mode, {}) for mode in ("RGB", "RGBA")),
    *(("HEIF", mode, {}) for mode in ("RGB", "RGBA", "L")),
]


@pytest.mark.parametrize(("image_format", "mode", "options"), OPTIONS)
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (300, 65), (65, 300)])
def test_the_header_says_what_pillow_sees(
    image_format: str, mode: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    image = encoded(image_format, mode, size, **options)

    header = read_header(image)

    with PIL.Image.open(BytesIO(image)) as opened:
        assert (header.format, header.width, header.height) == (opened.format, *opened.size)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_on_its_side_has_the_size_that_pillow_gives_it(orientation: int) -> None:
    exif = Exif()
    exif[0x0112] = orientation
    image = encoded("TIFF", "L", (9, 7), exif=exif)

    with PIL.Image.open(BytesIO(image)) as opened:
        header = read_header(image)
        assert (header.width, header.height) == opened.size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"%PDF-1.7\n", "It looks like a PDF document."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "It looks like an SVG drawing."),
        (b"Dear Sir or Madam,\n", "It looks like plain text."),
        (b"\x00\x01\x02\x03", "no known format: it starts with the bytes 00 01 02 03."),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "starts like a PNG file, but its IHDR chunk"),
        (b"\xff\xd8\xff\xd9", "starts like a JPEG file, but it has no frame header (SOF)"),
    ],
)
def test_a_refusal_says_what_was_seen(content: bytes, words: str) -> None:
    with pytest.raises(UnreadableHeaderError) as refused:
        read_header(content)

    assert words in str(refused.value)


def a_bigtiff(order: str) -> bytes:
    """Make a grey BigTIFF of 3 x 2 pixels; *order* is the sign of :mod:`struct`."""
    tags = {256: 3, 257: 2, 258: 8, 259: 1, 262: 1, 273: 212, 277: 1, 278: 2, 279: 6}
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(tags))
    # Type LONG, one value each, in the first four of eight bytes.
    entries = [struct.pack(f"{order}HHQI4x", tag, 4, 1, value) for tag, value in tags.items()]
    return header + b"".join(entries) + bytes(8) + bytes(6)


def test_a_bigtiff_is_read_if_its_least_significant_byte_comes_first() -> None:
    with PIL.Image.open(BytesIO(a_bigtiff("<"))) as opened:
        assert opened.size == (3, 2)
        opened.load()

    assert read_header(a_bigtiff("<")) == Header("TIFF", 3, 2)


def test_a_bigtiff_that_pillow_cannot_open_is_refused_with_the_reason() -> None:
    # Once Pillow can read it, refusing it is no longer needed.
    with pytest.raises(PIL.UnidentifiedImageError), warnings.catch_warnings(action="ignore"):
        PIL.Image.open(BytesIO(a_bigtiff(">")))

    with pytest.raises(UnreadableHeaderError, match="a BigTIFF with the most significant byte"):
        read_header(a_bigtiff(">"))


def filled(head: bytes, piece: bytes, tail: bytes = b"") -> bytes:
    """Repeat *piece* until there are 10 MB."""
    return head + piece * ((SIZE - len(head) - len(tail)) // len(piece)) + tail


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def hostile_files() -> Iterator[tuple[str, bytes]]:
    """Yield files of 10 MB that made some reader slow or hungry."""
    jpeg, png = an_image("JPEG"), an_image("PNG")
    exif = b"\xff\xe1\x00\x12Exif\0\0MM\0*\0\0\0\x08\0\0"
    yield "JPEG, 524,000 Exif segments", filled(jpeg[:2], exif, jpeg[2:])
    yield "JPEG, empty segments", filled(jpeg[:2], b"\xff\xe2\x00\x02", jpeg[2:])
    yield "JPEG, restart markers", filled(jpeg[:2], b"\xff\xd0", jpeg[2:])
    yield "JPEG, fill bytes", filled(jpeg[:3], b"\xff", jpeg[3:])
    yield "JPEG, no marker at all", filled(jpeg[:3], b"\x00")
    yield "JPEG, stuffed bytes", filled(jpeg[:2], b"\xff\x00")
    yield "PNG, text", filled(png[:33], png_chunk(b"iTXt", b"k\0\0\0\0\0x"), png[33:])
    bomb = png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(2_000_000)))
    yield "PNG, profiles", filled(png[:33], bomb, png[33:])
    yield "GIF, comments", filled(b"GIF89a\1\0\1\0\0\0\0", b"!\xfe\1x\0")
    yield "GIF, sub-blocks", filled(b"GIF89a\1\0\1\0\0\0\0!\xfe", b"\1x")
    yield "GIF, nothing between", filled(b"GIF89a\1\0\1\0\0\0\0", b"\0")
    strips = struct.pack("<HHIHHII", 0x0111, 4, 2_600_000, 0, 0, 0, 0)[:12]
    yield "TIFF, strips", filled(b"II*\0\x08\0\0\0\3\0" + strips, b"\1\0\0\0")
    entry = struct.pack("<HHII", 256, 4, 1, 5)
    yield "TIFF, entries", filled(b"II*\0\x08\0\0\0\xff\xff", entry)
    big = struct.pack("<HHQQ", 256, 4, 1, 5)
    head = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60)
    yield "BigTIFF, entries", filled(head, big)
    ftyp = box(b"ftyp", b"avif\0\0\0\0avifmif1")
    yield "AVIF, free boxes", filled(ftyp, box(b"free", b""))
    yield "AVIF, brands", filled(struct.pack(">I", SIZE) + b"ftypmif1\0\0\0\0", b"xxxx")
    properties = filled(b"", box(b"ispe", bytes(12)))
    meta = box(b"pitm", bytes(4) + b"\0\1") + box(b"iprp", box(b"ipco", properties))
    yield "AVIF, properties", ftyp + box(b"meta", bytes(4) + meta)
    yield (
        "HEIF, items",
        box(b"ftyp", b"heic\0\0\0\0heicmif1")
        + box(
            b"meta",
            bytes(4)
            + box(b"pitm", bytes(4) + b"\0\1")
            + box(
                b"iprp",
                box(b"ipco", b"")
                + box(b"ipma", bytes(4) + struct.pack(">I", 2**32 - 1) + bytes(SIZE)),
            ),
        ),
    )
    yield "WebP, chunks", filled(b"RIFF\0\0\0\0WEBPXXXX\0\0\0\0", b"JUNK\0\0\0\0")
    yield "text", filled(b"", b"lorem ipsum ")
    yield "base64", filled(b"iVBORw0KGgo", b"AAAA")
    yield "zero bytes", filled(b"", b"\0")
    yield "XML", filled(b"<?xml version='1.0'?>", b"<!-- svg -->")


HOSTILE = dict(hostile_files())


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_of_ten_megabytes_costs_more_than_a_moment(name: str) -> None:
    image = HOSTILE[name]

    started_s = time.process_time()
    _read_or_refuse(image)
    took_s = time.process_time() - started_s

    assert took_s < MOST_CPU_S


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_of_ten_megabytes_takes_memory_beside_itself(name: str) -> None:
    tracemalloc.start()
    try:
        _read_or_refuse(HOSTILE[name])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < MOST_BYTES


@given(
    st.sampled_from([an_image(name, size=(20, 20)) for name in FORMATS]),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=12),
    st.integers(0, 700),
)
def test_damaged_headers_are_read_or_refused(
    image: bytes, damages: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(image)
    for place, value in damages:
        damaged[place % len(damaged)] = value

    _read_or_refuse(bytes(damaged[: cut or None]))


def _read_or_refuse(image: bytes) -> None:
    try:
        header = read_header(image)
    except UnreadableHeaderError:
        return
    assert header.width > 0
    assert header.height > 0
