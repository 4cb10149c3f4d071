"""Resizing and cropping an image, without computing what is cropped away."""

import math
from fractions import Fraction
from typing import Final

import numpy as np
import PIL.Image
from PIL.Image import Resampling

Size = tuple[int, int]  # width, height
Box = tuple[int, int, int, int]  # left, top, right, bottom

_MAX_RESIZED_PX: Final = 20_000_000
_NO_SIMPLE_RATIO: Final = 100
_SHRINKS: Final = 1.1
# Pillow's filters without edges, and how far they reach, in pixels of the result.
_REACH_PX: Final = {
    Resampling.BILINEAR: 1,
    Resampling.HAMMING: 1,
    Resampling.BICUBIC: 2,
    Resampling.LANCZOS: 3,
}


def resized(image: PIL.Image.Image, size: Size, resampling: Resampling) -> PIL.Image.Image:
    """Resize *image*, which Pillow always filters when it shrinks, as torchvision's antialias.

    Raises:
        ValueError: The result would take too much memory.
    """
    if not _is_affordable(size):
        raise ValueError(f"the image is too long and thin: resized it has {size[0]} x {size[1]} px")
    return image.resize(size, resampling)


def resized_and_cropped(
    image: PIL.Image.Image, size: Size, kept: Box, resampling: Resampling
) -> PIL.Image.Image:
    """Resize *image* to *size*, and take *kept* of it.

    Computes nothing but *kept* where that gives the same pixels, but for one level in a hundred
    or fewer, which is rounded otherwise.

    Raises:
        ValueError: The result would take too much memory.
    """
    if kept[0] < 0 or kept[1] < 0:  # the crop is larger than the image, and its margin black
        return resized(image, size, resampling).crop(kept)
    # An image of 50,000 by 1 pixels, whose shorter side is to become 256, would take 10 GB.
    if not _is_affordable(size):
        return _only_kept(image, size, kept, resampling)
    # A filter with edges may take another pixel altogether.
    if resampling not in _REACH_PX or not _is_the_same_in_a_box(image, size, kept):
        return image.resize(size, resampling).crop(kept)
    if image.width >= image.height:
        return _only_kept(image, size, kept, resampling)
    if _keeps_its_shape(image, size) and image.height <= 2 * image.width:
        return _only_kept_width_first(image, size, kept, resampling)
    return image.resize(size, resampling).crop(kept)


def _is_affordable(size: Size) -> bool:
    return size[0] * size[1] <= _MAX_RESIZED_PX


def _is_the_same_in_a_box(image: PIL.Image.Image, size: Size, kept: Box) -> bool:
    """Tell whether resizing a box rounds as resizing the whole does.

    Pillow has the edges of a box in single precision. If that shifts them, levels that lie in
    the middle between two are rounded otherwise: one in ten where 8 pixels become 3, but
    hardly any where the two sides have no such simple ratio. More are, too, where an image
    hardly shrinks, or grows.
    """
    for axis in (0, 1):
        if image.size[axis] < _SHRINKS * size[axis]:
            return False
        step = Fraction(image.size[axis], size[axis])
        edges = (kept[axis] * step, kept[axis + 2] * step)
        is_shifted = any(Fraction(float(np.float32(edge))) != edge for edge in edges)
        if is_shifted and step.numerator < _NO_SIMPLE_RATIO:
            return False
    return True


def _keeps_its_shape(image: PIL.Image.Image, size: Size) -> bool:
    return abs(image.width * size[1] - image.height * size[0]) <= max(image.size)


def _only_kept(
    image: PIL.Image.Image, size: Size, kept: Box, resampling: Resampling
) -> PIL.Image.Image:
    """Resize nothing but *kept*; the filters see the pixels around it, too."""
    left, top, right, bottom = kept
    across, down = image.width / size[0], image.height / size[1]
    box = (left * across, top * down, right * across, bottom * down)
    return image.resize((right - left, bottom - top), resampling, box=box)


def _only_kept_width_first(
    image: PIL.Image.Image, size: Size, kept: Box, resampling: Resampling
) -> PIL.Image.Image:
    """Resize nothing but *kept*, in two steps: in width, then in height.

    Levels are rounded between the two. Pillow resizes a whole portrait in width first, up to
    twice as high as wide, but a box of it, for some sizes, in height first.
    """
    left, top, right, bottom = kept
    across, down = image.width / size[0], image.height / size[1]
    margin = _REACH_PX[resampling] * down + 1
    first, last = math.floor(top * down - margin), math.ceil(bottom * down + margin)
    first, last = max(0, first), min(image.height, last)
    rows = image.crop((0, first, image.width, last))
    width, height = right - left, last - first
    rows = rows.resize((width, height), resampling, box=(left * across, 0, right * across, height))
    box = (0, top * down - first, width, bottom * down - first)
    return rows.resize((width, bottom - top), resampling, box=box)
