"""Networks are exported once and served without torch, or served by torch with a reason."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import openvino
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file

from common.settings.consumer import Runtime
from engine.models import exports
from engine.models.errors import ModelUnavailableError
from engine.models.exports import Export, Exports, digests
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.origin import Origin
from engine.models.paths import ModelPaths
from engine.runtimes.computing import Computing
from engine.runtimes.equivalence import NotEquivalentError, check_roughly, difference
from engine.runtimes.network import Floats
from engine.runtimes.on_onnx import has_vnni
from engine.runtimes.on_openvino import OpenVinoNetwork

NETWORK = """
import os
import torch

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
        )
        self.linear = torch.nn.Linear(4, 5)

    def forward(self, images):
        {first}
        return self.linear(self.layers(images).mean(dim=(2, 3)))
"""
DESCRIPTION = """
architecture = "network:Small"
weights = "w.safetensors"
labels = ["a", "b", "c", "d", "e"]

[preprocessing]
{size}
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""
FIXED, FREE = "resize = 16\ncrop = [12, 12]", ""

Make = Callable[..., ModelPaths]


def write_model(folder: Path, first: str = "", *, size: str = FIXED, seed: int = 0) -> ModelPaths:
    """Write the model `m`; its `forward` begins with the line *first*."""
    home = folder / "models" / "m"
    home.mkdir(parents=True, exist_ok=True)
    (home / "network.py").write_text(NETWORK.format(first=first))
    (home / "model.toml").write_text(DESCRIPTION.format(size=size))
    generator = torch.Generator().manual_seed(seed)
    shapes = {"layers.0.weight": (4, 3, 3, 3), "linear.weight": (5, 4)}
    shapes |= dict.fromkeys(("layers.0.bias", "layers.1.weight", "layers.1.bias"), (4,))
    shapes |= {"layers.1.running_mean": (4,), "linear.bias": (5,)}
    state = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    state["layers.1.running_var"] = torch.rand(4, generator=generator) + 0.5
    state["layers.1.num_batches_tracked"] = torch.tensor(1)
    save_file(state, home / "w.safetensors")
    return ModelPaths(folder / "models", folder / "weights")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(write_model, tmp_path)


@pytest.fixture(scope="module")
def exported_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    assert load(write_model(folder)).runtime == "onnx"
    return folder


@pytest.fixture
def exported(exported_folder: Path, tmp_path: Path) -> ModelPaths:
    """The model `m` with its export, which the test may change."""
    shutil.copytree(exported_folder, tmp_path, dirs_exist_ok=True)
    return ModelPaths(tmp_path / "models", tmp_path / "weights")


def valid_export(paths: ModelPaths, name: str) -> Export | None:
    return Exports.below(paths.weights).find(Origin.find(name, paths))


def load(paths: ModelPaths, runtime: Runtime = "onnx") -> Model:
    return load_model("m", paths, runtime=runtime, threads=1)


def some_images() -> list[PIL.Image.Image]:
    chance = np.random.default_rng(0)
    return [
        PIL.Image.fromarray(chance.integers(0, 256, (20, 30, 3), dtype=np.uint8)) for _ in range(3)
    ]


def forbid_exporting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_every_runtime_answers_what_torch_answers(exported: ModelPaths, runtime: Runtime) -> None:
    assert_same_answers(load(exported, runtime), load(exported, "torch"), runtime)


def test_images_may_keep_their_own_sizes(make: Make) -> None:
    paths = make(size=FREE)

    assert_same_answers(load(paths), load(paths, "torch"), "onnx")


def assert_same_answers(ours: Model, theirs: Model, runtime: Runtime) -> None:
    assert (ours.runtime, ours.remark, ours.version) == (runtime, "", theirs.version)
    for image in some_images():
        [our], [their] = (classify(model, [image], top_k=5) for model in (ours, theirs))
        assert [one.label for one in our] == [one.label for one in their]
        assert [one.probability for one in our] == pytest.approx(
            [one.probability for one in their], abs=1e-5
        )


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_what_only_torch_does_is_told_of_the_others(exported: ModelPaths, runtime: Runtime) -> None:
    computing = Computing(precision="half")

    model = load_model("m", exported, runtime=runtime, threads=1, computing=computing)

    assert model.runtime == runtime
    assert model.remark == f"{runtime} computes in float32 and compiles nothing; torch would"


def test_torch_serves_where_a_gpu_is_wanted_whatever_the_runtime(
    exported: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ModelUnavailableError, match="DARKROOM_DEVICE is cuda"):
        load_model("m", exported, runtime="onnx", threads=1, computing=Computing(device="cuda"))


@pytest.mark.parametrize("harm", ["is not installed", "computes something else", "refuses it"])
def test_onnxruntime_serves_what_openvino_does_not(
    exported: ModelPaths, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    if harm == "is not installed":
        monkeypatch.setitem(sys.modules, "engine.runtimes.on_openvino", None)
    elif harm == "refuses it":
        monkeypatch.setattr(OpenVinoNetwork, "__init__", refuse)
    else:
        monkeypatch.setattr(OpenVinoNetwork, "__call__", lambda _self, images: -images[:, 0, 0, :5])

    model = load(exported, "openvino")

    assert (model.runtime, model.remark[:9]) == ("onnx", "OpenVINO:")


def test_openvino_computes_in_bfloat16_where_the_processor_can(exported: ModelPaths) -> None:
    [file] = (exported.weights / "exports").glob("*.onnx")

    can = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    assert OpenVinoNetwork(file, threads=1, precision="bfloat16").is_bf16 == can
    assert not OpenVinoNetwork(file, threads=1).is_bf16


@pytest.mark.parametrize(("flags", "expected"), [("avx2 avx512_vnni", True), ("avx2", False)])
def test_products_of_8_bits_are_added_as_the_processor_can(
    tmp_path: Path, flags: str, *, expected: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : fpu {flags}\n")

    assert has_vnni(tmp_path / "cpuinfo") == expected
    assert not has_vnni(tmp_path / "nothing")


def refuse(*_args: object, **_options: object) -> None:
    raise RuntimeError("no such operation")


def test_a_network_is_exported_once(exported: ModelPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_exporting(monkeypatch)

    assert load(exported).runtime == "onnx"


def test_a_document_in_the_folder_is_no_reason_to_export_anew(
    exported: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_exporting(monkeypatch)
    before = load(exported).version

    (exported.models / "m" / "README.md").write_text("What it is for.")

    assert load(exported).version == before


def test_other_weights_are_exported_anew(exported: ModelPaths, make: Make) -> None:
    before = load(exported)
    after = load(make(seed=1))

    assert after.runtime == "onnx"
    assert after.version != before.version
    assert classify(after, some_images(), top_k=5) != classify(before, some_images(), top_k=5)


@pytest.mark.parametrize(
    ("installed", "is_valid"), [("0.1.0", False), (None, True)], ids=["another", "none"]
)
def test_an_export_serves_the_torchvision_that_it_was_made_with_and_where_there_is_none(
    exported: ModelPaths, monkeypatch: pytest.MonkeyPatch, installed: str | None, *, is_valid: bool
) -> None:
    monkeypatch.setattr(exports, "installed_torchvision", lambda: installed)

    assert (valid_export(exported, "m") is not None) == is_valid


@pytest.mark.parametrize("damage", ["{", '{"format": 3}', ""])
def test_a_damaged_record_is_none(exported: ModelPaths, damage: str) -> None:
    (exported.weights / "exports" / "m.json").write_text(damage)

    assert valid_export(exported, "m") is None


@pytest.mark.parametrize("place", ["../w.safetensors", "samples/w.safetensors"])
def test_weights_that_lie_anywhere_are_exported_again_when_they_change(
    make: Make, place: str
) -> None:
    paths = make()
    folder = paths.models / "m"
    (folder / "samples").mkdir()
    (folder / "w.safetensors").rename(folder / place)
    described = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(described.replace("w.safetensors", place))
    before = load(paths)
    assert valid_export(paths, "m") is not None

    state = load_file(folder / place)
    save_file({name: value + 1 for name, value in state.items()}, folder / place)

    assert valid_export(paths, "m") is None
    after = load(paths)
    assert (before.runtime, after.runtime) == ("onnx", "onnx")
    assert after.version != before.version


@pytest.mark.parametrize("pattern", ["exports/*.onnx", "../models/m/w.safetensors"])
def test_an_export_without_its_files_is_none(exported: ModelPaths, pattern: str) -> None:
    for file in exported.weights.glob(pattern):
        file.unlink()

    assert valid_export(exported, "m") is None


def test_an_export_of_a_download_outlives_it_but_serves_no_other(exported: ModelPaths) -> None:
    described = Exports.below(exported.weights).recorded("m")
    assert described is not None
    download = exported.weights / "checkpoints" / "net-0123abcd.pth"
    download.parent.mkdir()
    download.write_bytes(b"weights")
    sources = digests([download], base=exported.weights)
    Exports.below(exported.weights).put(
        "net", described.model_copy(update={"sources": sources, "from_folder": False})
    )
    assert valid_export(exported, "net") is not None

    download.write_bytes(b"others")
    assert valid_export(exported, "net") is None

    download.unlink()
    assert valid_export(exported, "net") is not None


def test_torch_serves_what_cannot_be_exported_and_says_why(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make("images = images if float(images.mean()) > 5 else images * 2")

    first = load(paths)
    forbid_exporting(monkeypatch)  # once is enough
    second = load(paths)

    assert (first.runtime, second.runtime) == ("torch", "torch")
    assert first.remark == second.remark != ""
    assert len(classify(second, some_images(), top_k=2)) == 3


def test_torch_serves_a_network_that_computes_something_else_when_exported(make: Make) -> None:
    model = load(make("images = images * (2 if torch.compiler.is_exporting() else -1)"))

    assert model.runtime == "torch"
    assert "when exported, its" in model.remark


def test_torch_serves_a_network_whose_export_crashes(make: Make) -> None:
    model = load(make("torch.compiler.is_exporting() and os.abort()"))

    assert (model.runtime, model.remark) == ("torch", "the export ended with status -6")


def test_a_model_that_cannot_be_had_says_why_through_the_exporter(make: Make) -> None:
    paths = make()
    (paths.models / "m" / "w.safetensors").write_bytes(b"rubbish")

    with pytest.raises(ModelUnavailableError, match="SafetensorError"):
        load(paths)


def test_weights_where_nothing_can_be_written_are_served_by_torch(make: Make) -> None:
    paths = make()
    paths.weights.write_text("a file, where a folder should be")

    assert load(paths).runtime == "torch"


LOGITS = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]], np.float32)


def answering(logits: Floats) -> Callable[[Floats], Floats]:
    return lambda images: logits[: len(images)]


@pytest.mark.parametrize(
    ("logits", "reason"),
    [
        (LOGITS[:, ::-1], "labels"),
        (LOGITS + 0.01, "are off by"),
        (np.full_like(LOGITS, np.nan), "labels|are off by|not finite"),
        (LOGITS[:, :2], "shape"),
    ],
)
def test_a_network_that_disagrees_is_refused(logits: Floats, reason: str) -> None:
    with pytest.raises(NotEquivalentError, match=reason):
        difference(answering(LOGITS), answering(logits), LOGITS)


def test_a_small_difference_is_told() -> None:
    told = difference(answering(LOGITS), answering(LOGITS + np.float32(1e-5)), LOGITS)

    assert told == pytest.approx(1e-5 / LOGITS.std(), rel=0.1)


def test_what_rounds_a_little_differently_is_roughly_the_same() -> None:
    check_roughly(answering(LOGITS), answering(LOGITS + np.float32(0.05)), LOGITS)


@pytest.mark.parametrize(
    ("logits", "reason"),
    [(-LOGITS, "are off by"), (np.full_like(LOGITS, np.nan), "off by"), (LOGITS[:, :2], "shape")],
)
def test_what_rounding_does_not_explain_is_refused(logits: Floats, reason: str) -> None:
    with pytest.raises(NotEquivalentError, match=reason):
        check_roughly(answering(LOGITS), answering(logits), LOGITS)
