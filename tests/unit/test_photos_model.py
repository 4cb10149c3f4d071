"""What the shipped model of photographs claims about itself."""

from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

import PIL.Image
import pytest
import torch
from torch import nn

from engine.models import torchvision_zoo
from engine.models.folder import read
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.packaged import place_of
from engine.models.paths import ModelPaths

MODELS: Final = Path(__file__).parents[2] / "models"
FOLDER: Final = MODELS / "photos"
SAMPLES: Final = sorted((FOLDER / "samples").glob("*.jpg"))
LABELS: Final[Mapping[str, Sequence[str]]] = {
    "camera.jpg": ["tripod"],
    # ImageNet has three classes that a tabby cat may be in.
    "cat.jpg": ["tiger cat", "Egyptian cat", "tabby"],
    "coffee.jpg": ["espresso"],
}

# Every 50th logit of ``waves()`` by the package efficientnet_lite_pytorch 0.1.0: the network that
# its ``EfficientNet.from_name("efficientnet-lite0")`` makes, with the same weights, in evaluation
# mode, computed by eager float32 torch 2.13.
REFERENCE_LOGITS: Final = [
    *(-1.4542, -0.8700, -0.5531, -2.1017, -0.1551, -1.1929, -0.9147, -0.7437, -0.2751, -1.4835),
    *(-1.5043, -0.8319, 4.6398, 2.0767, 1.2293, -0.3944, -1.0859, 0.0418, 1.3602, 0.0206),
]
REFERENCE_CLASS: Final = 905


def waves() -> torch.Tensor:
    """Return an input that is the same on every machine."""
    steps = torch.arange(3 * 224 * 224, dtype=torch.float64)
    return torch.sin(steps * 0.01).float().reshape(1, 3, 224, 224)


def network_module() -> ModuleType:
    # A folder in models/ is not a package, so the module is loaded from its path.
    loader = SourceFileLoader("photos_network", str(FOLDER / "network.py"))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def network() -> nn.Module:
    filled: nn.Module = network_module().EfficientNetLite0()
    weights = place_of(FOLDER, read(FOLDER).weights or "")
    filled.load_state_dict(torch.load(weights, weights_only=True))
    return filled.eval()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Model:
    paths = ModelPaths(MODELS, tmp_path_factory.mktemp("weights"))
    return load_model("photos", paths, runtime="torch", threads=1)


def test_the_network_gives_the_logits_of_the_package_that_defines_it(network: nn.Module) -> None:
    with torch.inference_mode():
        [logits] = network(waves())

    assert logits.argmax() == REFERENCE_CLASS
    torch.testing.assert_close(logits[::50], torch.tensor(REFERENCE_LOGITS), atol=1e-3, rtol=0)


def test_the_labels_are_imagenet_s_in_torchvision_s_words_and_order(photos: Model) -> None:
    weights = torchvision_zoo.weights_by_name("EfficientNet_B0_Weights.IMAGENET1K_V1")

    lines = (FOLDER / "labels.txt").read_text(encoding="utf-8").splitlines()

    assert tuple(lines) == torchvision_zoo.labels_of(weights)
    assert len(set(lines)) == 1000
    assert photos.label_count == 1000


def test_the_gallery_is_small_and_every_picture_in_it_has_its_source_and_licence() -> None:
    described = (FOLDER / "README.md").read_text(encoding="utf-8")

    assert sum(path.stat().st_size for path in SAMPLES) < 200_000
    assert {path.name for path in SAMPLES} == set(LABELS)
    for path in SAMPLES:
        [row] = [line for line in described.splitlines() if f"`{path.name}`" in line]
        assert "CC0" in row


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_picture_of_the_gallery_gets_its_label(photos: Model, sample: Path) -> None:
    expected = LABELS[sample.name]

    [predictions] = classify(photos, [PIL.Image.open(sample).convert("RGB")], top_k=3)

    assert predictions[0].label in expected
    assert sum(one.probability for one in predictions if one.label in expected) > 0.9
