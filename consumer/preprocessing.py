"""From an upright RGB image to the input tensor that a model's weights were trained for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageOps
from PIL.Image import Resampling

_MAX_RESIZED_PX: Final = 20_000_000
_WORTH_IT: Final = 1.5
_SMOOTH: Final = (
    Resampling.BILINEAR,
    Resampling.HAMMING,
    Resampling.BICUBIC,
    Resampling.LANCZOS,
)


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

    @property
    def gives_one_size(self) -> bool:
        """Whether all images come out equally high and wide."""
        return self.crop is not None or isinstance(self.resize, tuple)

    def apply(self, image: PIL.Image.Image) -> npt.NDArray[np.float32]:
        """Make the input tensor of one image: float32, shape (channels, height, width)."""
        image = image.convert(self.mode)
        if self.invert:
            image = ImageOps.invert(image)
        image = self._resized_and_cropped(image)
        # A greyscale image has no axis of channels yet.
        levels = np.asarray(image).reshape(image.height, image.width, len(self.mean))
        mean, std = (np.array(numbers, np.float32) for numbers in (self.mean, self.std))
        # (level / 255 - mean) / std, in two steps over memory that is laid out as the result.
        pixels = levels.transpose(2, 0, 1).astype(np.float32, order="C")
        pixels *= (1 / (255 * std))[:, None, None]
        pixels -= (mean / std)[:, None, None]
        return pixels

    def _resized_and_cropped(self, image: PIL.Image.Image) -> PIL.Image.Image:
        if self.resize is None:
            return image if self.crop is None else image.crop(_centre(image.size, self.crop))
        # Pillow always filters when it shrinks, as torchvision does with antialias.
        size = _target_size(image, self.resize)
        if self.crop is None:
            return image.resize(_affordable(size), self.interpolation)
        left, top, right, bottom = kept = _centre(size, self.crop)
        if not self._may_compute_only(kept, image, size):
            return image.resize(_affordable(size), self.interpolation).crop(kept)
        # The filters see the pixels around the box, too.
        across, down = image.width / size[0], image.height / size[1]
        return image.resize(
            (right - left, bottom - top),
            self.interpolation,
            box=(left * across, top * down, right * across, bottom * down),
        )

    def _may_compute_only(
        self, kept: tuple[int, int, int, int], image: PIL.Image.Image, size: tuple[int, int]
    ) -> bool:
        """Tell whether resizing nothing but *kept* gives the same pixels as cropping them.

        One level in a thousand is rounded otherwise, since Pillow has a box in single precision;
        more of them where an image hardly shrinks, or grows, but then there is little to gain.
        Filters with edges may take another pixel altogether. And Pillow 13 resizes a portrait in
        height first, a box of it in width first, so that other numbers are rounded in between.
        """
        if kept[0] < 0 or kept[1] < 0:
            return False  # the crop is larger than the image, and its margin black
        # An image of 50,000 by 1 pixels, whose shorter side is to become 256, would take 10 GB.
        if size[0] * size[1] > _MAX_RESIZED_PX:
            return True
        shrinks = image.height >= _WORTH_IT * size[1]
        return shrinks and image.width >= image.height and self.interpolation in _SMOOTH

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


def _affordable(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] * size[1] > _MAX_RESIZED_PX:
        raise ValueError(f"the image is too long and thin: resized it has {size[0]} x {size[1]} px")
    return size


def _centre(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the centre, as in torchvision's ``CenterCrop``."""
    (width, height), (crop_height, crop_width) = size, crop
    left, top = round((width - crop_width) / 2), round((height - crop_height) / 2)
    return left, top, left + crop_width, top + crop_height
