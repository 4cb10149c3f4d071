"""Real weights on real photographs, in every runtime and precision, without a service."""

import json
import os
import subprocess
import sys

import openvino
import PIL.Image
import pytest

from common.settings.consumer import Runtime
from engine.models.loading import load_model
from engine.models.model import classify
from engine.models.paths import ModelPaths
from tests.e2e.conftest import ROOT
from tests.e2e.test_imagenet import FOLDER, write_squeezenet


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> ModelPaths:
    if not (FOLDER / "reference.json").exists():
        pytest.skip("no photographs here: DARKROOM_TEST_IMAGENET names no folder with them")
    folder = tmp_path_factory.mktemp("squeezenet")
    write_squeezenet(folder / "models")
    return ModelPaths(folder / "models", folder / "weights")


@pytest.mark.parametrize("runtime", ["onnx", "openvino", "torch"])
def test_every_runtime_names_what_the_reference_names(paths: ModelPaths, runtime: Runtime) -> None:
    assert named_rightly("squeezenet", paths, runtime) == 1


@pytest.mark.slow
@pytest.mark.parametrize("to", ["int8", "bf16"])
def test_real_weights_are_quantized_for_real_photographs(paths: ModelPaths, to: str) -> None:
    can = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if to == "bf16" and "BF16" not in can:
        pytest.skip("this processor has no bfloat16")
    photographs = str(FOLDER / "images")
    folders = ["--calibrate", photographs, "--evaluate", photographs]
    folders_of_ours = {
        "DARKROOM_MODELS_DIR": str(paths.models),
        "DARKROOM_WEIGHTS_DIR": str(paths.weights),
    }

    command = [sys.executable, "-m", "modeltools", "quantize", "squeezenet", "--to", to]
    subprocess.run(  # noqa: S603 (our own command)
        [*command, *folders, "--force"], check=True, cwd=ROOT, env=os.environ | folders_of_ours
    )

    name = f"squeezenet-{to}"
    report = json.loads((paths.models / name / "report.json").read_text())
    assert report["photographs"] == 24
    assert report["top_1_agreement"] >= 0.9
    assert named_rightly(name, paths) >= 0.9


def named_rightly(name: str, paths: ModelPaths, runtime: Runtime = "onnx") -> float:
    """Return the share of the photographs whose best label is that of the reference."""
    model = load_model(name, paths, runtime=runtime, threads=1)
    assert not model.remark or model.precision != "float32", model.remark
    reference = json.loads((FOLDER / "reference.json").read_text())
    right = 0
    for file, expected in reference.items():
        with PIL.Image.open(FOLDER / "images" / file) as image:
            [[best]] = classify(model, [image.convert("RGB")], top_k=1)
        right += best.label == expected["class"]
    return right / len(reference)
