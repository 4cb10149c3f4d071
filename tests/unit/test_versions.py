"""A model's version changes with everything that affects its answers, and nothing else."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from engine.models import digests
from engine.models.digests import sha256_of, version_of
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.paths import ModelPaths

KINDS = ("network", "code", "torchvision", "predictor")
DESCRIBED = """
labels = ["light", "dark"]

[preprocessing]
resize = [32, 32]
mean = [0.5, 0.5, 0.5]
std = [1.0, 1.0, 1.0]
"""
HEADS = {
    "network": 'network = "n.onnx"',
    "code": 'architecture = "network:Net"\nweights = "w.safetensors"',
    "torchvision": 'architecture = "torchvision:squeezenet1_0"\nweights = "w.safetensors"',
    "predictor": 'predictor = "model:Predictor"',
}
NETWORK = """
import torch
from parts.layers import SIGN


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(2))

    def forward(self, images):
        light = images.mean((1, 2, 3))[:, None] * 9
        return self.bias + SIGN * torch.cat([light, -light], 1)
"""
PREDICTOR = """
from pathlib import Path
from typing import Any
from parts.layers import SIGN


class Predictor:
    def load(self):
        self.words = Path(__file__).with_name("words.txt").read_text().split()

    def predict(self, images):
        return [[(word, 0.5) for word in self.words] for _ in images]
"""
Write = Callable[..., Path]


def write_onnx(folder: Path, sign: int = 1) -> None:
    """Write a network with its weights in a second file; *sign* reverses its answers."""
    weights = numpy_helper.from_array(np.array([[9, -9]] * 3, np.float32) * sign, "weights")
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["means"]),
            helper.make_node("Flatten", ["means"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["y"]),
        ],
        "light",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(
        model,
        folder / "n.onnx",
        save_as_external_data=True,
        location="n.onnx.data",
        size_threshold=0,
    )


def write_code(folder: Path, kind: str) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "layers.py").write_text("SIGN = 1\n")
    (folder / "network.py" if kind == "code" else folder / "model.py").write_text(
        NETWORK if kind == "code" else PREDICTOR
    )
    (folder / "words.txt").write_text("light dark")
    if kind == "code":
        save_file({"bias": torch.zeros(2)}, folder / "w.safetensors")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the folder `m` for a kind of model."""

    def write_folder(kind: str) -> Path:
        folder = tmp_path / "models" / "m"
        folder.mkdir(parents=True)
        (folder / "model.toml").write_text(f"{HEADS[kind]}\n{DESCRIBED}")
        if kind == "network":
            write_onnx(folder)
        elif kind == "torchvision":
            write_squeezenet(folder)
        else:
            write_code(folder, kind)
        return folder

    return write_folder


def write_squeezenet(folder: Path) -> None:
    from engine.models import torchvision_zoo  # noqa: PLC0415 (slow)

    state = torchvision_zoo.architecture("squeezenet1_0", classes=2).state_dict()
    save_file(state, folder / "w.safetensors")


def load(folder: Path) -> Model:
    paths = ModelPaths(folder.parent, folder.parent / "weights")
    return load_model(folder.name, paths, runtime="torch", threads=1)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def another_byte(file: Path) -> None:
    """Change a file a little at its end, where the weights are."""
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


DECIDING = [
    *[(kind, "model.toml", '"light"', '"bright"') for kind in KINDS if kind != "predictor"],
    *[(kind, "model.toml", "[32, 32]", "[32, 33]") for kind in ("code", "torchvision")],
    *[(kind, "model.toml", "0.5, 0.5, 0.5", "0.5, 0.5, 0.6") for kind in ("network", "code")],
    ("network", "model.toml", "labels = ", 'output = "sigmoid"\nlabels = '),
    ("network", "model.toml", "labels = ", 'precision = "int8"\nlabels = '),
    ("code", "network.py", "* 9", "* 8"),
    *[(kind, "parts/layers.py", "1", "-1") for kind in ("code", "predictor")],
    ("predictor", "words.txt", "light", "bright"),
]


@pytest.mark.parametrize(("kind", "file", "old", "new"), DECIDING)
def test_what_decides_an_answer_changes_the_version(
    write: Write, kind: str, file: str, old: str, new: str
) -> None:
    folder = write(kind)
    before = load(folder).version

    replace(folder / file, old, new)

    assert load(folder).version != before


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("network", "n.onnx.data"),
        ("code", "w.safetensors"),
        ("torchvision", "w.safetensors"),
    ],
)
def test_other_weights_are_another_version(write: Write, kind: str, file: str) -> None:
    folder = write(kind)
    before = load(folder).version

    another_byte(folder / file)

    assert load(folder).version != before


def test_weights_may_lie_elsewhere_and_count_all_the_same(write: Write, tmp_path: Path) -> None:
    folder = write("code")
    before = load(folder).version
    (tmp_path / "samples").mkdir()
    (folder / "w.safetensors").rename(tmp_path / "samples" / "w.safetensors")
    replace(folder / "model.toml", "w.safetensors", "../../samples/w.safetensors")

    assert load(folder).version == before

    another_byte(tmp_path / "samples" / "w.safetensors")
    assert load(folder).version != before


def test_exchanged_external_data_turn_the_answers_over_and_change_the_version(
    write: Write,
) -> None:
    folder = write("network")
    before = load(folder)

    write_onnx(folder, sign=-1)

    after = load(folder)
    bright = [PIL.Image.new("RGB", (8, 8), "white")]
    labels = [classify(model, bright, top_k=1)[0][0].label for model in (before, after)]
    assert labels == ["light", "dark"]
    assert before.version != after.version


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_for_people_changes_no_version(write: Write, kind: str) -> None:
    folder = write(kind)
    before = load(folder).version

    (folder / "README.md").write_text("Trained on a rainy day.")
    (folder / "LICENSE.txt").write_text("Do what you like.")
    (folder / "report.json").write_text("{}")
    (folder / "report.md").write_text("It is good.")
    (folder / ".DS_Store").write_text("of a file manager")
    (folder / "samples").mkdir()
    (folder / "samples" / "1.png").write_bytes(b"an image")
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"compiled")
    described = f'# A model\ndescription = "for people"\n{(folder / "model.toml").read_text()}'
    (folder / "model.toml").write_text(f"{described}\n[measured]\naccuracy = 0.5\n")

    assert load(folder).version == before


@pytest.mark.parametrize("kind", ["network", "torchvision"])
def test_what_no_network_reads_changes_no_version(write: Write, kind: str) -> None:
    folder = write(kind)
    before = load(folder).version

    (folder / "train.py").write_text("print('no code of this folder is run')")
    (folder / "n.onnx.data.second").write_bytes(b"for another day")

    assert load(folder).version == before


def test_the_same_said_in_another_way_is_the_same_version(write: Write) -> None:
    folder = write("network")
    before = load(folder).version

    replace(folder / "model.toml", '["light", "dark"]', '"labels.txt"\noutput = "logits"')
    replace(folder / "model.toml", "resize", 'mode = "RGB"\nresize')
    (folder / "labels.txt").write_text("light\ndark\n")
    (folder / "n.onnx").rename(folder / "other.onnx")
    replace(folder / "model.toml", "n.onnx", "other.onnx")

    assert load(folder).version == before


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_files_elsewhere_are_the_same_version(
    write: Write, tmp_path: Path, kind: str
) -> None:
    folder = write(kind)
    elsewhere = tmp_path / "other machine" / "renamed"
    shutil.copytree(folder, elsewhere)
    for file in elsewhere.rglob("*"):
        os.utime(file, (1e9, 1e9))

    assert load(elsewhere).version == load(folder).version


def test_a_version_does_not_change_with_darkroom(tmp_path: Path) -> None:
    """Keys missing from `model.toml` are not part of the version, so new keys change none."""
    folder = tmp_path / "models" / "m"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text('predictor = "model:Predictor"')
    (folder / "model.py").write_bytes(b"class Predictor:\n    def load(self): pass\n")

    assert load(folder).version == "sha256:24cb612b8382bf1e"


def test_a_file_is_read_once_while_it_is_unchanged(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "FINE_NS", -1)
    monkeypatch.setattr(digests, "COARSE_NS", -1)
    read: list[str] = []
    file_digest = hashlib.file_digest

    def counted(file: Any, name: str) -> object:
        read.append(str(getattr(file, "name", "")))
        return file_digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    folder = write("code")
    load(folder)
    load(folder)

    assert read.count(str(folder / "w.safetensors")) == 1


def test_a_file_that_changes_within_one_tick_of_the_clock_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    found = []
    for content in (b"one", b"two", b"six"):
        file.write_bytes(content)
        os.utime(file, (1e9, 1e9))
        found.append(sha256_of(file))

    assert found == [hashlib.sha256(one).hexdigest() for one in (b"one", b"two", b"six")]


def test_the_version_of_a_download_is_what_sha256sum_begins_with(tmp_path: Path) -> None:
    (tmp_path / "net-0123abcd.pth").write_bytes(b"weights")

    version = version_of(sha256_of(tmp_path / "net-0123abcd.pth"))

    assert version == f"sha256:{hashlib.sha256(b'weights').hexdigest()[:16]}"
