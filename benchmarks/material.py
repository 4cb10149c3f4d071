"""Images and models to measure with: noise, and networks with random weights.

Neither changes a speed: a network computes the same whatever its weights, and the images have
noise of many scales, so that they compress as photographs do.
"""

import shutil
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import PIL.Image

from benchmarks.plan import Size
from engine.models.paths import ModelPaths
from standalone.settings import ROOT

EAGER: Final = "eager"
_OURS: Final = ROOT / "models"
_QUALITY: Final = 90
_TOML: Final = """
architecture = "torchvision:{name}"
weights = "w.safetensors"
labels = "torchvision:{weights}"
preprocessing = "torchvision:{weights}"
"""
_EAGER_TOML: Final = """
description = "the network of {name}, by eager torch"
predictor = "benchmarks.eager:EagerPredictor"
"""


def paths(folder: Path) -> ModelPaths:
    """Return the folders of a run's models and exports."""
    return ModelPaths(folder / "models", folder / "weights")


def write_model(name: str, where: ModelPaths) -> None:
    """Write a folder with random weights, of torchvision's architecture, unless it is there.

    A model that comes with the project is taken as it is.
    """
    folder = where.models / name
    if (folder / "model.toml").exists():
        return
    if (_OURS / name).is_dir():
        shutil.copytree(_OURS / name, folder)
        return
    import torch  # noqa: PLC0415 (it takes a second, and parts that find the folder need none)
    from safetensors.torch import save_file  # noqa: PLC0415

    from engine.models import torchvision_zoo  # noqa: PLC0415

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    save_file(torchvision_zoo.architecture(name).state_dict(), folder / "w.safetensors")
    weights = torchvision_zoo.torchvision_models().get_model_weights(name).DEFAULT
    (folder / "model.toml").write_text(_TOML.format(name=name, weights=weights))


def write_eager_model(name: str, where: ModelPaths) -> None:
    """Write a folder whose predictor computes the model *name* with eager torch."""
    folder = where.models / EAGER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.toml").write_text(_EAGER_TOML.format(name=name))
    (folder / "network").write_text(name)


def photograph(size: Size) -> bytes:
    """Make a JPEG of noise at many scales."""
    chance = np.random.default_rng(0)
    width, height = size
    levels = np.full((height, width, 3), 128.0)
    for scale in (4, 16, 64):
        coarse = chance.integers(0, 256, (height // scale + 1, width // scale + 1, 3), np.uint8)
        fine = PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC)
        levels += (np.asarray(fine, np.float64) - 128) * scale / 64
    buffer = BytesIO()
    picture = PIL.Image.fromarray(levels.clip(0, 255).astype(np.uint8))
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def photograph_of(size_bytes: int) -> bytes:
    """Make one of just over *size_bytes*."""
    width = 640
    while len(image := photograph((width, width * 3 // 4))) < size_bytes:
        width += 16
    return image
