"""Every image that a camera or a program makes becomes upright RGB; what is no image is refused."""

import sys
from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL.Image import Exif

from common.formats import FORMATS
from engine.decoding.decode import UndecodableImageError, decode
from engine.decoding.opening import formats_here
from engine.extras import lacked_formats
from tests.examples import an_image

_ORIENTATION = 0x0112  # EXIF 2.3, tag Orientation


def encoded(image: PIL.Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def decoded(image: bytes) -> PIL.Image.Image:
    return decode(image, max_pixels=1_000_000)


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_accepted_format_becomes_rgb(image_format: str) -> None:
    image = decoded(an_image(image_format, size=(8, 6)))

    assert (image.mode, image.size) == ("RGB", (8, 6))


def test_a_photograph_taken_sideways_is_turned_upright() -> None:
    sideways = PIL.Image.new("RGB", (8, 6), "white")
    sideways.putpixel((0, 5), (255, 0, 0))
    exif = Exif()
    exif[_ORIENTATION] = 6  # turn by 90 degrees clockwise to view
    upright = decoded(encoded(sideways, exif=exif))

    assert upright.size == (6, 8)
    assert upright.getpixel((0, 0)) == (255, 0, 0)


def test_transparent_pixels_show_white_paper() -> None:
    image = PIL.Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))

    rgb = decoded(encoded(image))

    assert [rgb.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]


def test_a_palette_with_a_transparent_colour_shows_white_paper_there() -> None:
    image = PIL.Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((1, 0), 1)

    rgb = decoded(encoded(image, "GIF", transparency=0))

    assert [rgb.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (200, 0, 0)]


def test_grey_with_alpha_shows_white_paper() -> None:
    image = PIL.Image.new("LA", (1, 1), (0, 0))

    assert decoded(encoded(image)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_scaled_not_clipped(image_format: str) -> None:
    levels = np.array([[0, 257 * 100, 65_535]], dtype=np.uint16)

    rgb = decoded(encoded(PIL.Image.fromarray(levels), image_format))

    assert [rgb.getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (100,) * 3, (255,) * 3]


def test_eight_bits_of_grey_keep_their_levels() -> None:
    image = PIL.Image.new("L", (1, 1), 100)

    assert decoded(encoded(image)).getpixel((0, 0)) == (100, 100, 100)


def test_print_colours_become_screen_colours() -> None:
    red = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))

    r, g, b = decoded(encoded(red, "JPEG", quality=100)).getpixel((4, 4))  # type: ignore[misc]

    assert r > 200
    assert max(g, b) < 60


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert decoded(animation).getpixel((0, 0)) == (255, 0, 0)


def test_a_truncated_image_is_refused() -> None:
    photograph = encoded(PIL.Image.effect_noise((64, 64), 50), "JPEG")

    with pytest.raises(UndecodableImageError, match="truncated"):
        decoded(photograph[: len(photograph) // 2])


def test_an_installation_with_all_extras_lacks_no_format() -> None:
    assert lacked_formats() == ()


def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(UndecodableImageError, match="more than 47 pixels"):
        decode(an_image(size=(8, 6)), max_pixels=47)


def test_a_heic_that_cannot_be_decoded_here_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    formats_here.cache_clear()

    try:
        with pytest.raises(UndecodableImageError, match=r"HEIC.*`heic`"):
            decoded(an_image("HEIF"))
        assert lacked_formats() == ("HEIF",)
        assert decoded(an_image("AVIF")).mode == "RGB"
    finally:
        formats_here.cache_clear()


def test_floating_point_pixels_are_refused_for_their_range_is_not_known() -> None:
    with pytest.raises(UndecodableImageError, match="floating-point"):
        decoded(encoded(PIL.Image.new("F", (2, 2), 0.5), "TIFF"))


def a_photograph(size: tuple[int, int], image_format: str = "JPEG", **options: object) -> bytes:
    picture = PIL.Image.effect_noise(size, 50).convert("RGB")
    return encoded(picture, image_format, **options)


@pytest.mark.parametrize(
    ("size", "decoded_size"),
    [
        ((640, 480), (640, 480)),
        ((1023, 2000), (1023, 2000)),
        ((1024, 2000), (512, 1000)),
        ((4000, 3001), (1000, 751)),
        ((9000, 4096), (1125, 512)),
    ],
)
def test_a_photograph_is_scaled_as_it_is_decoded_and_never_below_what_is_enough(
    size: tuple[int, int], decoded_size: tuple[int, int]
) -> None:
    image = decode(a_photograph(size), max_pixels=10**8, enough_px=512)

    assert image.size == decoded_size


def test_unless_a_size_is_enough_all_pixels_are_decoded() -> None:
    assert decode(a_photograph((1024, 1024)), max_pixels=10**8).size == (1024, 1024)


def test_a_photograph_taken_sideways_is_scaled_and_turned_upright() -> None:
    exif = Exif()
    exif[_ORIENTATION] = 6

    upright = decode(a_photograph((128, 64), exif=exif), max_pixels=10**6, enough_px=32)

    assert upright.size == (32, 64)


def test_only_jpeg_files_are_scaled_as_they_are_decoded() -> None:
    for image_format in ("PNG", "WEBP", "TIFF"):
        image = decode(a_photograph((64, 64), image_format), max_pixels=10**6, enough_px=8)

        assert image.size == (64, 64)


def test_scaling_lets_no_image_through_that_has_too_many_pixels() -> None:
    with pytest.raises(UndecodableImageError, match="more than 4095 pixels"):
        decode(a_photograph((64, 64)), max_pixels=4095, enough_px=8)


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_decoded_or_refused(rubbish: bytes) -> None:
    _decode_or_refuse(rubbish)


@given(
    st.sampled_from(FORMATS),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_a_damaged_image_is_decoded_or_refused(image_format: str, place: int, byte: int) -> None:
    damaged = bytearray(an_image(image_format, size=(16, 16)))
    damaged[place % len(damaged)] = byte

    _decode_or_refuse(bytes(damaged))


def _decode_or_refuse(image: bytes) -> None:
    try:
        mode = decoded(image).mode
    except UndecodableImageError:
        return
    assert mode == "RGB"
