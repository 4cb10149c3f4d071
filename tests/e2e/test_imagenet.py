"""Real weights on real photographs: the answers are those of eager torch."""

import json
import os
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.client import Client
from tests.e2e.conftest import ROOT, Darkroom
from tests.examples import an_image

FOLDER = Path(os.environ.get("DARKROOM_TEST_IMAGENET", ROOT.parent / "shared" / "imagenet"))
TOLERANCE = 0.02

MODEL = """
description = "SqueezeNet 1.0 on ImageNet"
architecture = "torchvision:squeezenet1_0"
weights = "squeezenet1_0.safetensors"
labels = "torchvision:SqueezeNet1_0_Weights.IMAGENET1K_V1"
preprocessing = "torchvision:SqueezeNet1_0_Weights.IMAGENET1K_V1"
"""


def write_squeezenet(models: Path) -> None:
    """Make the folder `squeezenet` among *models*, with the weights that lie there."""
    folder = models / "squeezenet"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(MODEL)
    (folder / "squeezenet1_0.safetensors").symlink_to(FOLDER / "squeezenet1_0.safetensors")


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """A system that serves a folder of ours, beside the models that ship."""
    if not (FOLDER / "reference.json").exists():
        pytest.skip("no photographs here: DARKROOM_TEST_IMAGENET names no folder with them")
    models = tmp_path_factory.mktemp("models")
    write_squeezenet(models)
    for shipped in ("photos", "digits"):
        (models / shipped).symlink_to(ROOT / "models" / shipped)
    system = Darkroom(
        tmp_path_factory.mktemp("state"),
        DARKROOM_MODELS="squeezenet,photos,digits,resnet18,no_such_net",
        DARKROOM_MODELS_DIR=str(models),
        DARKROOM_CONSUMERS="1",
    )
    system.start()
    yield system
    system.run("stop")


def test_all_photographs_get_the_labels_and_probabilities_of_the_reference(
    imagenet: Darkroom,
) -> None:
    reference = json.loads((FOLDER / "reference.json").read_text())
    client = Client(imagenet.url)

    def classify(name: str) -> dict[str, float]:
        job = client.classify((FOLDER / "images" / name).read_bytes())
        predictions = job["result"]["predictions"]
        assert predictions[0]["label"] == reference[name]["class"]
        return {one["label"]: one["probability"] for one in predictions}

    with ThreadPoolExecutor(4) as clients:
        answers = dict(zip(reference, clients.map(classify, reference), strict=True))

    assert len(answers) == 24
    for name, answer in answers.items():
        for expected in reference[name]["predictions"]:
            # The last of five may be another label of nearly the same probability.
            seen = answer.get(expected["label"], min(answer.values()))
            assert seen == pytest.approx(expected["probability"], abs=TOLERANCE)


def test_photos_is_as_accurate_as_its_folder_says(imagenet: Darkroom) -> None:
    reference = json.loads((FOLDER / "reference.json").read_text())
    described = tomllib.loads((ROOT / "models" / "photos" / "model.toml").read_text())
    client = Client(imagenet.url)

    def ranked(name: str) -> list[str]:
        job = client.classify((FOLDER / "images" / name).read_bytes(), model="photos")
        return [one["label"] for one in job["result"]["predictions"]]

    answers = {name: ranked(name) for name in reference}

    assert described["measured"] == {
        "photographs": len(reference),
        "top_1_accuracy": _share(reference[name]["class"] == answers[name][0] for name in answers),
        "top_5_accuracy": _share(reference[name]["class"] in answers[name] for name in answers),
    }


def test_one_system_serves_several_models_by_name(imagenet: Darkroom) -> None:
    client = Client(imagenet.url)
    digit = (ROOT / "models" / "digits" / "samples" / "3.png").read_bytes()

    assert client.classify(digit, model="digits")["result"]["predictions"][0]["label"] == "3"
    assert client.classify(digit)["result"]["model"] == "squeezenet"


def test_a_model_that_cannot_be_had_is_unavailable_with_the_reason(imagenet: Darkroom) -> None:
    client = Client(imagenet.url)

    models = {model["name"]: model for model in client.models()}
    refused = client.post_form(an_image(), model="no_such_net")

    assert models["squeezenet"]["default"]
    assert models["squeezenet"]["state"] == models["digits"]["state"] == "ready"
    assert models["no_such_net"]["state"] == "unavailable"
    assert "nor a torchvision model" in models["no_such_net"]["reason"]
    assert refused.status_code == 503
    assert models["no_such_net"]["reason"] in refused.json()["detail"]


def _share(truths: Iterable[bool]) -> float:
    counted = list(truths)
    return round(sum(counted) / len(counted), 4)
