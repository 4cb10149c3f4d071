"""What the page of the digits model claims, measured again with the files of the repository."""

import tomllib
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageOps
from safetensors.torch import load_file
from torch import nn

MODELS = Path(__file__).parents[2] / "models"
FOLDER = MODELS / "digits"
LABELS = [str(digit) for digit in range(10)]


def load_training_script() -> ModuleType:
    # A folder in models/ is not a package, so the script is loaded from its path.
    loader = SourceFileLoader("digits_training", str(FOLDER / "train.py"))
    module = ModuleType(loader.name)
    module.__file__ = loader.path
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def training() -> ModuleType:
    return load_training_script()


@pytest.fixture
def torch_as_it_was() -> Iterator[None]:
    was_deterministic, threads = (
        torch.are_deterministic_algorithms_enabled(),
        torch.get_num_threads(),
    )
    yield
    torch.use_deterministic_algorithms(was_deterministic)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "model.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def network(training: ModuleType) -> nn.Module:
    shipped: nn.Module = training.new_network()
    shipped.load_state_dict(load_file(FOLDER / "digits.safetensors"))
    return shipped.eval()


@pytest.fixture(scope="module")
def samples() -> list[Image.Image]:
    return [Image.open(FOLDER / "samples" / f"{label}.png") for label in LABELS]


def preprocessed(image: Image.Image) -> torch.Tensor:
    """Do to *image* what ``[preprocessing]`` in model.toml says, with Pillow alone."""
    small = ImageOps.invert(image.convert("L")).resize((8, 8), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small)).unsqueeze(0) / 255


def recognised(network: nn.Module, images: list[Image.Image]) -> list[str]:
    with torch.inference_mode():
        logits = network(torch.stack([preprocessed(image) for image in images]))
    return [LABELS[index] for index in logits.argmax(dim=1).tolist()]


def test_the_shipped_weights_are_smaller_than_one_megabyte() -> None:
    assert (FOLDER / "digits.safetensors").stat().st_size < 1_000_000


def test_importing_the_training_script_neither_writes_nor_draws_random_numbers() -> None:
    files = {path: path.stat().st_mtime_ns for path in FOLDER.glob("[!_]*")}
    random_state = torch.get_rng_state()

    load_training_script()

    assert {path: path.stat().st_mtime_ns for path in FOLDER.glob("[!_]*")} == files
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.usefixtures("torch_as_it_was")
def test_training_twice_on_the_same_digits_gives_the_same_weights(
    training: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "EPOCHS", 1)
    digits = training.all_digits()[np.arange(100)]

    first, second = (training.train(digits).state_dict() for _ in range(2))

    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_new_measurement_changes_no_other_line_of_the_description(
    training: ModuleType, description: dict[str, Any], tmp_path: Path
) -> None:
    copy = tmp_path / "model.toml"
    copy.write_bytes((FOLDER / "model.toml").read_bytes())

    training.write_measured(copy, np.array([True, True, False]))

    measured = {"held_out_accuracy": 0.6667, "held_out_images": 3}
    assert tomllib.loads(copy.read_text(encoding="utf-8")) == description | {"measured": measured}


def test_every_digit_is_either_trained_on_or_held_out(training: ModuleType) -> None:
    digits = training.all_digits()

    for_training, held_out = training.split(digits.labels)

    assert sorted([*for_training, *held_out]) == list(range(len(digits.labels)))
    assert len(held_out) == 360


def test_the_held_out_fifth_has_every_digit_in_its_proportion(training: ModuleType) -> None:
    labels = training.all_digits().labels

    _, held_out = training.split(labels)

    assert np.bincount(labels[held_out]) == pytest.approx(np.bincount(labels) / 5, abs=1)


def test_no_held_out_image_has_a_twin_among_those_trained_on(training: ModuleType) -> None:
    digits = training.all_digits()

    for_training, held_out = (digits[part] for part in training.split(digits.labels))

    trained_on = {cells.tobytes() for cells in for_training.cells}
    assert not [cells for cells in held_out.cells if cells.tobytes() in trained_on]


def test_the_held_out_accuracy_is_what_the_description_says(
    training: ModuleType, network: nn.Module, description: dict[str, Any]
) -> None:
    digits = training.all_digits()
    _, held_out = training.split(digits.labels)

    right = training.is_recognised(network, digits[held_out])

    assert right.mean() >= 0.98
    assert description["measured"] == {
        "held_out_accuracy": round(float(right.mean()), 4),
        "held_out_images": len(right),
    }


def test_the_readme_states_the_measured_accuracy(description: dict[str, Any]) -> None:
    stated = f"{description['measured']['held_out_accuracy']:.2%}"

    assert stated in (MODELS / "README.md").read_text(encoding="utf-8")


def test_there_is_one_greyscale_sample_of_each_label(
    description: dict[str, Any], samples: list[Image.Image]
) -> None:
    names = sorted(path.name for path in (FOLDER / "samples").iterdir())

    assert names == [f"{label}.png" for label in description["labels"]]
    assert {(sample.mode, sample.size) for sample in samples} == {("L", (128, 128))}


def test_preprocessing_a_sample_gives_the_very_tensor_that_training_would_use(
    training: ModuleType, samples: list[Image.Image]
) -> None:
    for sample in samples:
        served = preprocessed(sample)

        cells = np.rint(served.numpy() * training.INK_LEVELS).astype(np.uint8)
        assert torch.equal(served.unsqueeze(0), training.input_tensor(cells))


def test_every_sample_is_held_out_and_shows_its_label(
    training: ModuleType, samples: list[Image.Image]
) -> None:
    digits = training.all_digits()
    _, indices = training.split(digits.labels)
    held_out = digits[indices]

    for label, sample in enumerate(samples):
        cells = np.rint(preprocessed(sample).numpy() * training.INK_LEVELS)
        same = (held_out.cells == cells).all(axis=(1, 2))
        assert held_out.labels[same].tolist() == [label]


def test_every_sample_is_recognised(network: nn.Module, samples: list[Image.Image]) -> None:
    assert recognised(network, samples) == LABELS


def test_pale_ink_on_grey_paper_is_recognised_too(
    network: nn.Module, samples: list[Image.Image]
) -> None:
    pale = [sample.point(lambda value: 100 + value * 0.3) for sample in samples]

    assert recognised(network, pale) == LABELS


def test_a_sample_drawn_a_little_off_centre_is_recognised_too(
    network: nn.Module, samples: list[Image.Image]
) -> None:
    moved = [ImageChops.offset(sample, 6, 4) for sample in samples]

    assert recognised(network, moved) == LABELS
