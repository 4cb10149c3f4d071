"""From an upright RGB image to the input tensor that a model's weights were trained for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageOps
from PIL.Image import Resampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """Convert, resize, crop, normalise, in this order.

    ``resize`` is (height, width), or one number for the shorter side, as in torchvision's
    ``Resize``; ``crop`` (height, width) is taken from the centre, as in its ``CenterCrop``.
    ``mean`` and ``std`` have one number a channel and apply to values of 0..1.
    """

    mode: str = "RGB"
    invert: bool = False
    resize: int | tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    interpolation: Resampling = Resampling.BILINEAR
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, image: PIL.Image.Image) -> npt.NDArray[np.float32]:
        """Make the input tensor of one image: float32, shape (channels, height, width)."""
        image = image.convert(self.mode)
        if self.invert:
            image = ImageOps.invert(image)
        if self.resize is not None:
            # Pillow always filters when it shrinks, as torchvision does with antialias.
            image = image.resize(_target_size(image, self.resize), self.interpolation)
        if self.crop is not None:
            image = _crop_centre(image, *self.crop)
        values = np.asarray(image, dtype=np.float32) / np.float32(255)
        mean, std = (np.array(numbers, np.float32) for numbers in (self.mean, self.std))
        # A greyscale image has no axis of channels yet.
        pixels = (values.reshape(*values.shape[:2], len(mean)) - mean) / std
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)

    def batch(self, images: Sequence[PIL.Image.Image]) -> npt.NDArray[np.float32]:
        """Make the input tensor of several: shape (images, channels, height, width)."""
        return np.stack([self.apply(image) for image in images])


def _target_size(image: PIL.Image.Image, resize: int | tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) as Pillow wants it."""
    if not isinstance(resize, int):
        height, width = resize
        return width, height
    shorter, longer = sorted(image.size)
    # Rounded down as in torchvision's _compute_resized_output_size; a sliver keeps a pixel.
    scaled = max(1, int(resize * longer / shorter))
    return (resize, scaled) if image.width <= image.height else (scaled, resize)


def _crop_centre(image: PIL.Image.Image, height: int, width: int) -> PIL.Image.Image:
    """Cut out the centre; what lies outside the image becomes black."""
    left = round((image.width - width) / 2)
    top = round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
