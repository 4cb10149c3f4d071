"""The images that runtimes are compared with."""

import random
from typing import Final

import PIL.Image
import PIL.ImageFilter

from engine.preprocessing import Preprocessing
from engine.runtimes.network import Floats

_IMAGES: Final = 8
_PX: Final = (320, 240)


def probe(preprocessing: Preprocessing) -> Floats:
    """Make preprocessed images of blurred noise, the same ones every time.

    Returns:
        Shape (n, channels, height, width).
    """
    chance = random.Random(0)  # noqa: S311 (repeatable, not secret)
    width, height = _PX
    noise = [
        PIL.Image.frombytes("RGB", _PX, chance.randbytes(3 * width * height))
        for _ in range(_IMAGES)
    ]
    return preprocessing.batch(
        [image.filter(PIL.ImageFilter.GaussianBlur(1 + 2 * n)) for n, image in enumerate(noise)]
    )
