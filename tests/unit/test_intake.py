"""Which bytes are accepted as an image."""

import hashlib
import struct
import zlib
from http import HTTPStatus
from io import BytesIO

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.formats import FORMATS
from common.intake import ImageLimits, RefusedImageError, accept
from common.jobs import Image
from tests.examples import an_image

LIMITS = ImageLimits(bytes=100_000, pixels=10_000)


def accepted(image: bytes) -> Image:
    return accept(image, source="body", limits=LIMITS)


def refusal(image: bytes, limits: ImageLimits = LIMITS) -> RefusedImageError:
    with pytest.raises(RefusedImageError) as caught:
        accept(image, source="body", limits=limits)
    return caught.value


def a_vast_png() -> bytes:
    """Make a PNG of 5 kB whose header claims 40,000 x 40,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(5_000_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("image_format", FORMATS)
def test_an_image_of_each_format_is_described_by_its_header(image_format: str) -> None:
    image = an_image(image_format, size=(9, 7))

    described = accepted(image)

    assert (described.format, described.width, described.height) == (image_format, 9, 7)


def test_an_image_is_described_by_digest_size_and_source() -> None:
    image = an_image()

    described = accept(image, source="base64", limits=LIMITS)

    assert described.sha256 == hashlib.sha256(image).hexdigest()
    assert described.bytes == len(image)
    assert described.source == "base64"


@pytest.mark.parametrize(
    ("image_format", "mode"),
    [("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("PNG", "1")],
)
def test_an_image_of_any_mode_is_accepted(image_format: str, mode: str) -> None:
    image = an_image(image_format, mode=mode)

    described = accepted(image)

    assert described.format == image_format


def test_a_photograph_of_several_pictures_is_accepted() -> None:
    pictures = [PIL.Image.new("RGB", (8, 6)) for _ in range(2)]
    buffer = BytesIO()
    pictures[0].save(buffer, format="MPO", save_all=True, append_images=pictures[1:])

    described = accepted(buffer.getvalue())

    assert (described.width, described.height) == (8, 6)


def test_a_truncated_image_with_a_sound_header_is_left_to_the_engine() -> None:
    image = an_image("JPEG", size=(90, 90))

    described = accepted(image[:-20])

    assert described.format == "JPEG"


def test_no_bytes_are_a_bad_request() -> None:
    refused = refusal(b"")

    assert refused.problem.status == 400
    assert refused.problem.type == "urn:darkroom:problem:image-empty"


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(b"\xff", id="one byte"),
        pytest.param(b"Dear Sir or Madam,\n", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="SVG"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
        pytest.param(an_image("PPM"), id="a format that is not accepted"),
        pytest.param(an_image("PNG")[:20], id="half a header"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + b"\0" * 100, id="a broken header"),
    ],
)
def test_what_is_no_accepted_image_is_an_unsupported_media_type(image: bytes) -> None:
    refused = refusal(image)

    assert refused.problem.status == 415
    assert refused.members["accepted"] == list(FORMATS)


def test_too_many_bytes_are_refused_with_their_number_and_the_limit() -> None:
    image = an_image()

    refused = refusal(image, ImageLimits(bytes=len(image) - 1, pixels=10_000))

    assert refused.problem.status == 413
    assert f"{len(image)} bytes" in refused.detail
    assert refused.members["limit_bytes"] == len(image) - 1


def test_as_many_bytes_and_pixels_as_the_limits_are_accepted() -> None:
    image = an_image(size=(10, 10))

    described = accept(image, source="body", limits=ImageLimits(bytes=len(image), pixels=100))

    assert described.bytes == len(image)


def test_a_small_file_of_too_many_pixels_is_refused_with_their_number_and_the_limit() -> None:
    image = a_vast_png()

    refused = refusal(image)

    assert len(image) < 6000
    assert refused.problem.status == 422
    assert "40000 x 40000" in refused.detail
    assert refused.members["limit_pixels"] == 10_000


def accepted_or_status(image: bytes) -> Image | HTTPStatus:
    try:
        return accepted(image)
    except RefusedImageError as exc:
        return exc.problem.status


SIGNATURES = (
    b"",
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    b"GIF89a",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"RIFF\x20\0\0\0WEBPVP8X",
)


@given(st.sampled_from(SIGNATURES), st.binary(max_size=300))
def test_any_bytes_are_an_image_or_a_problem(signature: bytes, rest: bytes) -> None:
    image = signature + rest

    found = accepted_or_status(image)

    assert isinstance(found, Image) or 400 <= found < 500


@given(
    st.sampled_from([an_image(name, size=(20, 20)) for name in FORMATS]),
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), max_size=10),
)
def test_any_damage_leaves_an_image_or_a_problem(
    image: bytes, damages: list[tuple[int, int]]
) -> None:
    damaged = bytearray(image)
    for place, value in damages:
        damaged[place % len(damaged)] = value

    found = accepted_or_status(bytes(damaged))

    assert isinstance(found, Image) or 400 <= found < 500
