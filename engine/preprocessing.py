"""From an upright RGB image to the input tensor that a model's weights were trained for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageOps
from PIL.Image import Resampling

from engine.resampling import Box, Size, resized, resized_and_cropped

Floats = npt.NDArray[np.float32]


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

    @property
    def enough_px(self) -> int:
        """The shorter side that leaves the result nearly as it is; 0: all pixels are needed.

        Half of what is left is filtered away by the resize; with less, more of it is seen.
        """
        if self.resize is None:
            return 0
        return 2 * (self.resize if isinstance(self.resize, int) else max(self.resize))

    def apply(self, image: PIL.Image.Image) -> Floats:
        """Make the input tensor of one image: float32, shape (channels, height, width)."""
        tensor: Floats = self.batch([image])[0]
        return tensor

    def batch(self, images: Sequence[PIL.Image.Image]) -> Floats:
        """Make the input tensor of several: shape (images, channels, height, width).

        Raises:
            ValueError: They come out in more than one size; see ``gives_one_size``.
        """
        made = [self._resized_and_cropped(self._converted(image)) for image in images]
        if len({image.size for image in made}) != 1:
            raise ValueError("images of several sizes do not make one tensor")
        width, height = made[0].size
        batch = np.empty((len(made), len(self.mean), height, width), np.float32)
        for tensor, image in zip(batch, made, strict=True):
            self._normalise(image, tensor)
        return batch

    def _normalise(self, image: PIL.Image.Image, tensor: Floats) -> None:
        """Write (level / 255 - mean) / std, a channel after the other, while it is in the cache."""
        mean, std = (np.array(numbers, np.float32) for numbers in (self.mean, self.std))
        factors, offsets = 1 / (255 * std), mean / std
        for number, band in enumerate(image.split()):
            np.multiply(np.asarray(band), factors[number], out=tensor[number])
            tensor[number] -= offsets[number]

    def _converted(self, image: PIL.Image.Image) -> PIL.Image.Image:
        # To the mode that it has, Pillow would copy it.
        image = image if image.mode == self.mode else image.convert(self.mode)
        return ImageOps.invert(image) if self.invert else image

    def _resized_and_cropped(self, image: PIL.Image.Image) -> PIL.Image.Image:
        if self.resize is None:
            return image if self.crop is None else image.crop(_centre(image.size, self.crop))
        size = _target_size(image, self.resize)
        if self.crop is None:
            return resized(image, size, self.interpolation)
        return resized_and_cropped(image, size, _centre(size, self.crop), self.interpolation)


def _target_size(image: PIL.Image.Image, resize: int | tuple[int, int]) -> Size:
    if not isinstance(resize, int):
        height, width = resize
        return width, height
    shorter, longer = sorted(image.size)
    # Rounded down as in torchvision's _compute_resized_output_size; a sliver keeps a pixel.
    scaled = max(1, int(resize * longer / shorter))
    return (resize, scaled) if image.width <= image.height else (scaled, resize)


def _centre(size: Size, crop: tuple[int, int]) -> Box:
    """Return the centre, as in torchvision's ``CenterCrop``; *crop* is (height, width)."""
    (width, height), (crop_height, crop_width) = size, crop
    left, top = round((width - crop_width) / 2), round((height - crop_height) / 2)
    return left, top, left + crop_width, top + crop_height
