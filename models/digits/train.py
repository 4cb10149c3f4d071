"""Train the digits model that ships with the project, and measure it once.

``python models/digits/train.py`` writes the weights, the sample images and the measured accuracy
into the folder of this file. ``--check`` writes them to a temporary folder instead and says whether
the files here are what comes out. The same kind of processor and the same versions of torch, numpy,
scikit-learn, safetensors and Pillow give the same bytes.
"""

import argparse
import filecmp
import logging
import math
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

FOLDER: Final = Path(__file__).resolve().parent
WEIGHTS: Final = "digits.safetensors"
DESCRIPTION: Final = "model.toml"
SAMPLES: Final = tuple(f"samples/{digit}.png" for digit in range(10))
WRITTEN: Final = (WEIGHTS, DESCRIPTION, *SAMPLES)

SEED: Final = 8
HELD_OUT: Final = 0.2
# Fixed beforehand, by cross-validation inside the training part: the held-out part chooses nothing.
EPOCHS: Final = 120
BATCH_SIZE: Final = 64
PEAK_LEARNING_RATE: Final = 0.01
WEIGHT_DECAY: Final = 0.05

INK_LEVELS: Final = 16  # a cell of the data set counts the inked pixels in a 4 by 4 square
CELL_PX: Final = 16  # the side of one cell in a sample image

logger = logging.getLogger("train")


@dataclass(frozen=True, slots=True)
class Digits:
    """Cells of shape ``(n, 8, 8)``, from 0 (paper) to 16 (ink), and the digits that they show."""

    cells: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __getitem__(self, chosen: NDArray[np.int64]) -> "Digits":
        return Digits(self.cells[chosen], self.labels[chosen])


def all_digits() -> Digits:
    bundled = load_digits()
    return Digits(bundled.images.astype(np.uint8), bundled.target.astype(np.int64))


def split(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices to train on and those held out: a fifth, every digit in its proportion."""
    indices = np.arange(len(labels))
    for_training, held_out = train_test_split(
        indices, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    return for_training, held_out


def ink(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Spread the levels of *cells* over 0 (paper) to 255 (ink)."""
    spread: NDArray[np.uint8] = np.rint(cells * (255 / INK_LEVELS)).astype(np.uint8)
    return spread


def input_tensor(cells: NDArray[np.uint8]) -> Tensor:
    """Return what ``[preprocessing]`` in model.toml makes of the sample images of *cells*."""
    return torch.from_numpy(ink(cells)).unsqueeze(1) / 255


def sample_image(cells: NDArray[np.uint8]) -> Image.Image:
    """Draw one digit, dark on white, so that a box filter down to 8 by 8 gives its cells back."""
    paper = 255 - ink(cells)
    return Image.fromarray(paper.repeat(CELL_PX, axis=0).repeat(CELL_PX, axis=1))


def new_network() -> nn.Module:
    # Found beside this file, as a consumer finds it: this folder is not a package.
    loader = SourceFileLoader("network", str(FOLDER / "network.py"))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    network: nn.Module = module.DigitsNet()
    return network


def train(digits: Digits) -> nn.Module:
    """Return a network that has seen *digits* and nothing else, the same one every time."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # the order of additions depends on the number of threads
    torch.manual_seed(SEED)
    network = new_network().train()
    inputs, labels = input_tensor(digits.cells), torch.from_numpy(digits.labels)
    steps_per_epoch = math.ceil(len(labels) / BATCH_SIZE)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, epochs=EPOCHS, steps_per_epoch=steps_per_epoch
    )
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(labels)), BATCH_SIZE):
            logits = network(redrawn(inputs[batch]))
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
            optimizer.step()
            schedule.step()
    return network.eval()


def redrawn(images: Tensor) -> Tensor:
    """Return *images* as other hands might draw them: moved, turned, bent, bolder or finer."""
    count = len(images)
    grid = functional.affine_grid(_random_affine(count), list(images.shape), align_corners=False)
    bend = functional.interpolate(0.08 * torch.randn(count, 2, 3, 3), size=(8, 8), mode="bicubic")
    moved = functional.grid_sample(images, grid + bend.permute(0, 2, 3, 1), align_corners=False)
    return moved ** _between(0.6, 1.6, count)[:, None, None, None]


def _random_affine(count: int) -> Tensor:
    """Return matrices of shape ``(count, 2, 3)``, in coordinates that run from -1 to 1."""
    angle = _between(-0.2, 0.2, count)
    slant = _between(-0.2, 0.2, count)
    width, height = _between(0.9, 1.3, count), _between(0.9, 1.3, count)
    right, down = _between(-0.25, 0.25, count), _between(-0.25, 0.25, count)
    across = torch.stack([width * angle.cos(), slant - angle.sin(), right], dim=1)
    along = torch.stack([angle.sin(), height * angle.cos(), down], dim=1)
    return torch.stack([across, along], dim=1)


def _between(low: float, high: float, count: int) -> Tensor:
    return low + (high - low) * torch.rand(count)


def is_recognised(network: nn.Module, digits: Digits) -> NDArray[np.bool_]:
    """Say for each of *digits* whether the most likely class is the right one."""
    with torch.inference_mode():
        predicted = network(input_tensor(digits.cells)).argmax(dim=1)
    recognised: NDArray[np.bool_] = predicted.numpy() == digits.labels
    return recognised


def build(folder: Path) -> None:
    """Train, then write weights and samples into *folder* and the accuracy into its model.toml."""
    digits = all_digits()
    for_training, held_out = split(digits.labels)
    network = train(digits[for_training])
    (folder / WEIGHTS).write_bytes(save(network.state_dict()))
    unseen = digits[held_out]
    recognised = is_recognised(network, unseen)
    write_samples(folder, unseen[recognised.nonzero()[0]])
    write_measured(folder / DESCRIPTION, recognised)


def write_samples(folder: Path, digits: Digits) -> None:
    """Draw the first of each class among *digits*."""
    for digit, name in enumerate(SAMPLES):
        [first, *_] = (digits.labels == digit).nonzero()[0]
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        sample_image(digits.cells[first]).save(path)


def write_measured(description: Path, recognised: NDArray[np.bool_]) -> None:
    """Replace the two measured values in model.toml and leave its other lines as they are."""
    accuracy = f"held_out_accuracy = {recognised.mean():.4f}"
    logger.info("%s of %d images", accuracy, len(recognised))
    text = description.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^held_out_accuracy = .*$", accuracy, text)
    text = re.sub(r"(?m)^held_out_images = .*$", f"held_out_images = {len(recognised)}", text)
    description.write_text(text, encoding="utf-8")


def differing_files() -> list[str]:
    """Build in a temporary folder and name the files here that came out otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        rebuilt = Path(folder)
        shutil.copy(FOLDER / DESCRIPTION, rebuilt)
        build(rebuilt)
        _, different, missing = filecmp.cmpfiles(FOLDER, rebuilt, WRITTEN, shallow=False)
    return different + missing


def main() -> int:
    """Return the exit status: 1 where ``--check`` found a difference."""
    parser = argparse.ArgumentParser(description="Train the digits model.")
    parser.add_argument("--check", action="store_true", help="compare, and change nothing here")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not parser.parse_args().check:
        build(FOLDER)
        return 0
    different = differing_files()
    logger.info("differs: %s", ", ".join(different) or "nothing, every file is reproduced")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
