"""Preprocessing gives the tensors that torchvision's own transforms give."""

from functools import lru_cache
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.Image import Resampling

from engine.models.torchvision_zoo import preprocessing_of, torchvision_models, weights_by_name
from engine.preprocessing import Preprocessing

torchvision_models()


def presets() -> dict[str, Any]:
    """Return one weights enum for each preprocessing that torchvision's classifiers have."""
    models = torchvision_models()
    found: dict[str, Any] = {}
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            found.setdefault(repr(weights.transforms()), weights)
    return {str(weights): weights for weights in found.values()}


PRESETS = presets()


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    "size",
    [
        (640, 480),
        (480, 640),
        (600, 600),
        (500, 375),
        (300, 451),
        (500, 1200),
        (100, 100),
        (7, 5),
        (1500, 2000),
    ],
)
def test_it_equals_the_transforms_of_the_weights(name: str, size: tuple[int, int]) -> None:
    weights = PRESETS[name]
    image = noise(size)

    expected = weights.transforms()(image).numpy()

    # In levels of 0..255: one level is sometimes rounded differently.
    scale = 255 * np.array(weights.transforms().std)[:, None, None]
    difference = np.abs(preprocessing_of(weights).apply(image) - expected) * scale
    assert difference.mean() < 0.01
    assert difference.max() < 1.01


@pytest.mark.parametrize("interpolation", Resampling)
@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((640, 480), (341, 256)),
        ((480, 640), (256, 341)),
        ((1920, 1080), (455, 256)),
        ((301, 257), (299, 256)),
        ((257, 301), (256, 299)),
        ((600, 600), (256, 256)),
        ((90, 80), (288, 256)),
        ((500, 375), (341, 256)),
        ((375, 500), (256, 341)),
        ((500, 1001), (256, 512)),
        ((683, 683), (256, 256)),
        ((768, 1536), (256, 512)),
    ],
)
def test_what_is_cropped_away_changes_nothing(
    interpolation: Resampling, size: tuple[int, int], resized: tuple[int, int]
) -> None:
    image = noise(size)
    plain: Any = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}
    left, top = (round((side - 224) / 2) for side in resized)
    preprocessing = Preprocessing(resize=256, crop=(224, 224), interpolation=interpolation, **plain)

    levels = preprocessing.apply(image).transpose(1, 2, 0)

    whole = image.resize(resized, interpolation).crop((left, top, left + 224, top + 224))
    assert np.abs(levels - np.asarray(whole)).mean() < 0.01


@settings(max_examples=30)
@given(st.integers(1, 400), st.integers(1, 400))
def test_images_of_any_shape_fit_the_network(width: int, height: int) -> None:
    described: Any = weights_by_name("ResNet18_Weights.IMAGENET1K_V1")

    tensor = preprocessing_of(described).apply(PIL.Image.new("RGB", (width, height)))

    assert tensor.shape == (3, 224, 224)
    assert tensor.dtype == np.float32


@pytest.mark.parametrize("size", [(50_000, 1), (1, 50_000)])
def test_a_sliver_is_cropped_without_being_resized_whole(size: tuple[int, int]) -> None:
    described: Any = weights_by_name("ResNet18_Weights.IMAGENET1K_V1")

    tensor = preprocessing_of(described).apply(PIL.Image.new("RGB", size))

    assert tensor.shape == (3, 224, 224)


def test_a_sliver_that_is_not_cropped_is_refused() -> None:
    preprocessing = Preprocessing(resize=256, mean=(0.0,) * 3, std=(1.0,) * 3)

    with pytest.raises(ValueError, match="too long and thin"):
        preprocessing.apply(PIL.Image.new("RGB", (50_000, 1)))


def test_a_crop_larger_than_the_image_is_filled_with_black() -> None:
    preprocessing = Preprocessing(crop=(4, 4), mean=(0.0,) * 3, std=(1.0,) * 3)

    tensor = preprocessing.apply(PIL.Image.new("RGB", (2, 2), "white"))

    assert tensor.sum() == 3 * 4


def test_grey_inverted_and_resized_is_ink_on_paper() -> None:
    preprocessing = Preprocessing(
        mode="L",
        invert=True,
        resize=(8, 8),
        interpolation=Resampling.BOX,
        mean=(0.0,),
        std=(1.0,),
    )
    paper = PIL.Image.new("RGB", (128, 128), "white")
    paper.paste((0, 0, 0), (0, 0, 16, 16))

    tensor = preprocessing.apply(paper)

    assert tensor.shape == (1, 8, 8)
    assert tensor[0, 0, 0] == 1
    assert tensor.sum() == 1


@pytest.mark.parametrize(("resize", "enough_px"), [(256, 512), ((8, 10), 20), (None, 0)], ids=str)
def test_twice_what_is_resized_to_is_enough(
    resize: int | tuple[int, int] | None, enough_px: int
) -> None:
    preprocessing = Preprocessing(resize=resize, crop=(4, 4), mean=(0.5,), std=(0.5,))

    assert preprocessing.enough_px == enough_px


def test_images_of_several_sizes_are_refused() -> None:
    preprocessing = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)

    with pytest.raises(ValueError, match="several sizes"):
        preprocessing.batch([noise((9, 9)), noise((20, 3))])


def test_several_images_become_one_batch() -> None:
    preprocessing = Preprocessing(resize=(4, 5), mean=(0.5,) * 3, std=(0.5,) * 3)

    batch = preprocessing.batch([noise((9, 9)), noise((20, 3))])

    assert torch.from_numpy(batch).shape == (2, 3, 4, 5)


@lru_cache
def noise(size: tuple[int, int]) -> PIL.Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return PIL.Image.fromarray(values)
