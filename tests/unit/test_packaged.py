"""Weights in an installed package: found, part of the version, and named if missing."""

import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

from common.settings.consumer import Runtime
from engine.models.errors import ModelUnavailableError
from engine.models.exports import Exports
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.packaged import name_of
from engine.models.paths import ModelPaths
from tests.unit.tiny_network import DESCRIPTION, NETWORK

PACKAGE = "weights_of_a_test"
IN_THE_PACKAGE = f"package:{PACKAGE}/files/tiny.safetensors"

Write = Callable[[str], ModelPaths]


def save_weights(file: Path, light: float = 1.0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "linear.weight": torch.tensor([[-light] * 4, [light] * 4]),
        "linear.bias": torch.tensor([2.0, -2.0]) * light,
    }
    save_file(state, file)


@pytest.fixture
def packaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights in an installed package that fails when it is imported."""
    packages = tmp_path / "packages"
    weights = packages / PACKAGE / "files" / "tiny.safetensors"
    save_weights(weights)
    (packages / PACKAGE / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setenv("PYTHONPATH", str(packages))  # for the exporting process
    return weights


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the model `m` with the named weights."""

    def write_model(weights: str) -> ModelPaths:
        home = tmp_path / "models" / "m"
        home.mkdir(parents=True, exist_ok=True)
        (home / "network.py").write_text(NETWORK)
        (home / "model.toml").write_text(DESCRIPTION.format(weights=weights))
        return ModelPaths(tmp_path / "models", tmp_path / "weights")

    return write_model


def load(paths: ModelPaths, runtime: Runtime = "torch") -> Model:
    return load_model("m", paths, runtime=runtime, threads=1)


def best_label(model: Model, brightness: int) -> str:
    image = PIL.Image.fromarray(np.full((4, 4, 3), brightness, dtype=np.uint8))
    [[best, *_]] = classify(model, [image], top_k=1)
    return best.label


@pytest.mark.usefixtures("packaged_weights")
def test_weights_in_a_package_are_loaded_without_importing_it(write: Write) -> None:
    model = load(write(IN_THE_PACKAGE))

    assert (best_label(model, 0), best_label(model, 255)) == ("dark", "light")
    assert PACKAGE not in sys.modules


@pytest.mark.usefixtures("packaged_weights")
def test_the_version_counts_weights_in_a_package_like_those_in_the_folder(
    write: Write, tmp_path: Path
) -> None:
    in_the_package = load(write(IN_THE_PACKAGE)).version
    beside = tmp_path / "elsewhere" / "w.safetensors"
    save_weights(beside)

    assert load(write(str(beside))).version == in_the_package


def test_an_export_is_made_anew_when_weights_in_a_package_change(
    write: Write, packaged_weights: Path
) -> None:
    paths = write(IN_THE_PACKAGE)
    before = load(paths, "onnx")
    save_weights(packaged_weights, light=-1.0)

    after = load(paths, "onnx")

    assert (before.runtime, after.runtime) == ("onnx", "onnx")
    assert after.version != before.version
    assert (best_label(before, 255), best_label(after, 255)) == ("light", "dark")


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    write: Write, runtime: Runtime
) -> None:
    paths = write("package:no_such_weights/w.safetensors")

    with pytest.raises(ModelUnavailableError, match=r": pip install no-such-weights$"):
        load(paths, runtime)


def test_a_file_that_its_package_lacks_is_missed_by_its_path(
    write: Write, packaged_weights: Path
) -> None:
    packaged_weights.rename(packaged_weights.with_name("other.safetensors"))

    with pytest.raises(ModelUnavailableError, match=r"No such file.*tiny\.safetensors"):
        load(write(IN_THE_PACKAGE))


@pytest.mark.usefixtures("packaged_weights")
def test_an_export_serves_where_the_package_of_its_weights_is_not_installed(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write(IN_THE_PACKAGE)
    before = load(paths, "onnx")
    exports = Exports.below(paths.weights)
    export = exports.recorded("m")
    assert export is not None
    # As recorded if the package is where pip installs it.
    recorded = {
        IN_THE_PACKAGE if name.endswith("tiny.safetensors") else name: digest
        for name, digest in export.sources.items()
    }
    exports.put("m", export.model_copy(update={"sources": recorded}))
    monkeypatch.setitem(sys.modules, PACKAGE, None)

    after = load(paths, "onnx")

    assert (after.runtime, after.version) == ("onnx", before.version)


def test_records_name_files_of_packages_alike_on_every_machine(tmp_path: Path) -> None:
    packages = Path(sysconfig.get_path("purelib"))

    assert name_of(packages / "some" / "w.pth", tmp_path) == "package:some/w.pth"
    assert name_of(tmp_path / "w.pth", tmp_path) == "w.pth"
    assert name_of(tmp_path / "w.pth", tmp_path / "m") == "../w.pth"
