"""A model that reads a number and an order from an image, and images that carry them."""

from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from typing import Final

import PIL.Image

DONE: Final = frozenset({"done"})
MODELS: Final = Path(__file__).parent / "models"

# Not the 64 x 64 of an engine's first image, which is black: number 0, no order.
_SIZE = (16, 16)


class Order(IntEnum):
    """What the model does before it answers."""

    ANSWER = 0
    WAIT = 1  # hundredths of a second, in ``parameter``
    HANG = 2  # in native code, with the interpreter's lock held
    CRASH = 3
    EAT = 4  # memory, some hundred megabytes a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """How a job shall end.

    Args:
        number: What its image carries, and a right result says.
        states: The states it may end in.
        problem: The name of the problem it fails with, if it fails.
    """

    number: int
    states: frozenset[str] = DONE
    problem: str = ""


def numbered(number: int, order: Order = Order.ANSWER, parameter: int = 0) -> bytes:
    """Encode a PNG whose right answer is *number*, less than 2**24."""
    image = PIL.Image.new("RGB", _SIZE)
    image.putpixel((0, 0), (number >> 16, number >> 8 & 255, number & 255))
    image.putpixel((1, 0), (order, parameter, 0))
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
