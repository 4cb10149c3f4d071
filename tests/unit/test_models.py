"""Each kind of model is loaded from its folder, and errors say what is wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from engine.models.classifier import top_k_predictions
from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.paths import ModelPaths
from tests.unit.tiny_network import DESCRIPTION, NETWORK

PREDICTOR = """
from words import WORDS

class Predictor:
    def load(self):
        self.labels = WORDS

    def predict(self, images):
        return [[(label, 1 / (rank + 2)) for rank, label in enumerate(self.labels)] for _ in images]
"""

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files into the folder of the model `m`."""

    def write_files(**files: str) -> None:
        folder = tmp_path / "m"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)

    return write_files


def load(models_dir: Path, name: str = "m") -> Model:
    paths = ModelPaths(models_dir, models_dir / "weights")
    return load_model(name, paths, runtime="torch", threads=1)


def light_weights() -> dict[str, torch.Tensor]:
    return {
        "linear.weight": torch.tensor([[-1.0] * 4, [1.0] * 4]),
        "linear.bias": torch.tensor([2.0, -2.0]),
    }


@pytest.mark.parametrize("weights", ["w.safetensors", "w.pt"])
def test_a_folder_with_architecture_and_weights_classifies(
    tmp_path: Path, write: Write, weights: str
) -> None:
    write(network_py=NETWORK, model_toml=DESCRIPTION.format(weights=weights))
    save = save_file if weights.endswith("safetensors") else torch.save
    save(light_weights(), tmp_path / "m" / weights)

    model = load(tmp_path)
    [predictions] = classify(model, [PIL.Image.new("RGB", (9, 9), "white")], top_k=1)

    assert [one.label for one in predictions] == ["light"]
    assert model.label_count == 2


def test_weights_that_are_a_pickle_of_code_are_refused(tmp_path: Path, write: Write) -> None:
    write(network_py=NETWORK, model_toml=DESCRIPTION.format(weights="w.pt"))
    torch.save({"linear.weight": print}, tmp_path / "m" / "w.pt")

    with pytest.raises(ModelUnavailableError, match=r"[Ww]eights"):
        load(tmp_path)


def test_an_exported_program_classifies(tmp_path: Path, write: Write) -> None:
    class Bright(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            brightness = images.mean(dim=(1, 2, 3))
            return torch.stack([4 - 4 * brightness, 4 * brightness], dim=1)

    write(
        model_toml=DESCRIPTION.replace('architecture = "network:Tiny"', "").replace(
            'weights = "{weights}"', 'program = "bright.pt2"'
        )
    )
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        Bright(), (torch.rand(2, 1, 2, 2),), dynamic_shapes={"images": {0: batch}}
    )
    torch.export.save(program, tmp_path / "m" / "bright.pt2")

    [predictions] = classify(load(tmp_path), [PIL.Image.new("RGB", (9, 9), "white")], top_k=2)

    assert [one.label for one in predictions] == ["light", "dark"]


def test_a_predictor_of_the_users_own_classifies(tmp_path: Path, write: Write) -> None:
    write(
        predictor_py=PREDICTOR,
        words_py='WORDS = ["cat", "dog", "cow"]',
        model_toml='predictor = "predictor:Predictor"',
    )

    [predictions] = classify(load(tmp_path), [PIL.Image.new("RGB", (9, 9))], top_k=2)

    assert [(one.label, one.probability) for one in predictions] == [("cat", 1 / 2), ("dog", 1 / 3)]


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ("architecture = ", "model.toml"),
        ('architecture = "network:Tiny"', "needs architecture and weights"),
        ('colour = "red"', "colour"),
        ('architecture="a:B"\nweights="w.pt"', "needs labels and preprocessing"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(
    tmp_path: Path, write: Write, description: str, reason: str
) -> None:
    write(model_toml=description)

    with pytest.raises(ModelUnavailableError, match=reason):
        load(tmp_path)


def test_missing_weights_are_named(tmp_path: Path, write: Write) -> None:
    write(network_py=NETWORK, model_toml=DESCRIPTION.format(weights="w.safetensors"))

    with pytest.raises(ModelUnavailableError, match=r"w\.safetensors"):
        load(tmp_path)


def test_a_name_that_nobody_knows_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="nor a torchvision model"):
        load(tmp_path, "no_such_net")


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=20), st.integers(1, 25))
def test_the_top_k_are_sorted_probabilities_of_the_largest_logits(
    values: list[float], k: int
) -> None:
    labels = [str(index) for index in range(len(values))]

    predictions = top_k_predictions(np.array(values, np.float32), labels, k)

    probabilities = [one.probability for one in predictions]
    assert len(predictions) == min(k, len(values))
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0 <= probability <= 1 for probability in probabilities)
    assert sum(probabilities) <= 1 + 1e-5
    # Logits are tied if float32 softmax cannot distinguish them.
    assert values[int(predictions[0].label)] == pytest.approx(max(values), abs=1e-5)


def test_logits_and_labels_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected logits of shape \(2,\), got \(3,\)"):
        top_k_predictions(np.zeros(3, np.float32), ["a", "b"], 1)
