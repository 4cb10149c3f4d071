"""Images as strangers send them: of every format, slow, large, broken, or no images at all."""

import random
from collections.abc import Callable
from io import BytesIO
from typing import Final

import PIL.Image
import pillow_heif

from common.formats import FORMATS
from testbed.echo import Expectation, Order, numbered

# Pillow writes HEIF only with it.
pillow_heif.register_heif_opener()

_SIZE_PX: Final = (32, 32)
_LARGE_PX: Final = (400, 300)
# No order of the model's. The other two colours carry the number, as far as a JPEG keeps it.
_NO_ORDER: Final = 200
# Of a PNG: the first has the width and half of the height, the second some pixels.
_IN_THE_HEADER_BYTES: Final = 22
_IN_THE_PIXELS_BYTES: Final = 48
_RUBBISH_BYTES: Final = 2000
_FAILED: Final = frozenset({"failed"})

# The bytes and the expected end of the job, or None if they must be refused.
Sent = tuple[bytes, Expectation | None]


def draw(chance: random.Random, number: int) -> Sent:
    """Make one image, or something that its sender takes for one."""
    [make] = chance.choices(list(_SHARES), weights=list(_SHARES.values()))
    return make(chance, number)


def _plain(_chance: random.Random, number: int) -> Sent:
    return numbered(number), Expectation(number=number)


def _slow(chance: random.Random, number: int) -> Sent:
    return numbered(number, Order.WAIT, chance.randrange(20, 100)), Expectation(number=number)


def _in_some_format(chance: random.Random, number: int) -> Sent:
    colour = (_NO_ORDER, number >> 8 & 255, number & 255)
    image = _saved(PIL.Image.new("RGB", _SIZE_PX, colour), chance.choice(FORMATS))
    return image, Expectation(number=_number_in(image))


def large(chance: random.Random, number: int) -> Sent:
    """Make an image of a few hundred kilobytes."""
    width, height = _LARGE_PX
    noise = bytearray(chance.randbytes(3 * width * height))
    noise[:3] = number.to_bytes(3, "big")
    noise[3] = _NO_ORDER
    image = PIL.Image.frombytes("RGB", _LARGE_PX, bytes(noise))
    return _saved(image, "PNG"), Expectation(number=number)


def _broken(_chance: random.Random, number: int) -> Sent:
    expectation = Expectation(number=number, states=_FAILED, problem="image-undecodable")
    return numbered(number)[:_IN_THE_PIXELS_BYTES], expectation


def _headless(_chance: random.Random, number: int) -> Sent:
    return numbered(number)[:_IN_THE_HEADER_BYTES], None


def _rubbish(chance: random.Random, _number: int) -> Sent:
    return chance.randbytes(chance.randrange(1, _RUBBISH_BYTES)), None


_SHARES: Final[dict[Callable[[random.Random, int], Sent], int]] = {
    _plain: 40,
    _in_some_format: 25,
    _slow: 8,
    large: 5,
    _broken: 10,
    _headless: 4,
    _rubbish: 8,
}


def _saved(image: PIL.Image.Image, image_format: str) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=image_format)
    return buffer.getvalue()


def _number_in(image: bytes) -> int:
    with PIL.Image.open(BytesIO(image)) as opened:
        red, green, blue = opened.convert("RGB").getpixel((0, 0))  # type: ignore[misc]  # RGB
    return int(red) << 16 | int(green) << 8 | int(blue)
