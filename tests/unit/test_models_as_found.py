"""Models as people have them: with a softmax inside, in checkpoints, with a fixed batch."""

import shutil
import zipfile
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from engine.models import torchvision_zoo
from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.model import Model, classify
from engine.models.output import probabilities_of
from engine.models.paths import ModelPaths

CASES = Path(__file__).parent / "models"
PREPROCESSING = '[preprocessing]\nmode="RGB"\nresize=[8,8]\nmean=[0.0,0.0,0.0]\nstd=[1.0,1.0,1.0]\n'
NETWORK = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 2)

    def forward(self, x):
        return self.fc(x.mean((1, 2, 3))[:, None])
"""
ROUNDING = """
class Predictor:
    def load(self):
        pass

    def predict(self, images):
        return [[("light", 1.0000001192), ("dark", -1e-9)] for _ in images]
"""
# Light is 0, dark is 1: 20 (x - 0.5) and its opposite.
STATE = {"fc.weight": torch.tensor([[20.0], [-20.0]]), "fc.bias": torch.tensor([-10.0, 10.0])}


@pytest.fixture
def paths(tmp_path: Path) -> ModelPaths:
    return ModelPaths(tmp_path / "models", tmp_path / "weights")


@pytest.fixture(scope="module")
def exported_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    paths = ModelPaths(folder / "models", folder / "weights")
    load(paths, weights(paths, STATE))
    return folder


@pytest.fixture
def removed(exported_folder: Path, paths: ModelPaths) -> ModelPaths:
    """The export of the model `m`, whose folder is gone."""
    shutil.copytree(exported_folder / "weights", paths.weights)
    return paths


def copied(paths: ModelPaths, name: str) -> Path:
    """Copy a case, so that a test may change it."""
    folder = paths.models / name
    shutil.copytree(CASES / name, folder)
    return folder


def told(paths: ModelPaths, name: str, *lines: str) -> Path:
    """Copy a case and extend its model.toml."""
    folder = copied(paths, name)
    toml = folder / "model.toml"
    toml.write_text("\n".join([*lines, toml.read_text()]))
    return folder


def load(paths: ModelPaths, name: str) -> Model:
    return load_model(name, paths, runtime="onnx", threads=1)


def refusal(paths: ModelPaths, name: str) -> str:
    with pytest.raises(ModelUnavailableError) as refused:
        load(paths, name)
    return str(refused.value)


def seen(model: Model, level: int) -> dict[str, float]:
    """Return the probability of each label for an image of about one grey."""
    chance = np.random.default_rng(0)
    noise = chance.integers(-3, 4, (16, 16, 3))
    image = PIL.Image.fromarray((level + noise).clip(0, 255).astype(np.uint8))
    [predictions] = classify(model, [image], top_k=10)
    return {one.label: one.probability for one in predictions}


# What the outputs mean


def test_a_softmax_inside_is_noticed_and_named(paths: ModelPaths) -> None:
    copied(paths, "o-softmax")

    assert 'set output = "probabilities"' in refusal(paths, "o-softmax")


def test_probabilities_are_taken_as_they_are(paths: ModelPaths) -> None:
    told(paths, "o-softmax", 'output = "probabilities"')

    assert seen(load(paths, "o-softmax"), 230)["light"] > 0.95


def test_logits_that_are_called_so_are_taken_at_their_word(paths: ModelPaths) -> None:
    told(paths, "o-softmax", 'output = "logits"')

    assert seen(load(paths, "o-softmax"), 230)["light"] == pytest.approx(0.73, abs=0.01)


def test_one_output_needs_a_sigmoid(paths: ModelPaths) -> None:
    copied(paths, "o-sigmoid-1-label")

    assert 'needs output = "sigmoid"' in refusal(paths, "o-sigmoid-1-label")


def test_what_is_called_probabilities_and_is_none_is_refused(paths: ModelPaths) -> None:
    told(paths, "o-batch1", 'output = "probabilities"')

    assert "do not sum to 1" in refusal(paths, "o-batch1")


def test_sigmoids_are_independent_of_each_other() -> None:
    numbers = np.array([800.0, 0.0, -800.0], np.float32)

    assert probabilities_of(numbers, "sigmoid").tolist() == [1.0, 0.5, 0.0]


def test_an_output_that_is_none_of_the_three_is_refused_by_name(paths: ModelPaths) -> None:
    told(paths, "o-softmax", 'output = "scores"')

    assert "output" in refusal(paths, "o-softmax")


# ONNX files


def test_a_fixed_batch_of_one_is_served_one_by_one_with_a_remark(paths: ModelPaths) -> None:
    copied(paths, "o-batch1")
    model = load(paths, "o-batch1")

    image = PIL.Image.new("RGB", (16, 16), (230, 230, 230))
    answers = classify(model, [image] * 3, top_k=1)

    assert [one.label for [one] in answers] == ["light"] * 3
    assert "one by one" in model.remark


def a_network(
    path: Path, *, layout: str = "NCHW", kind: int = TensorProto.FLOAT, batch: int | str = "n"
) -> None:
    """Write a network that answers light for a bright image, in one of several forms."""
    shape = [batch, 3, 8, 8] if layout == "NCHW" else [batch, 8, 8, 3]
    dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float32
    weight = np.array([[20.0, -20.0]], dtype)
    bias = np.array([-10.0, 10.0], dtype)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "light",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("logits", kind, [batch, 2])],
        [
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(bias, "bias"),
            onnx.numpy_helper.from_array(np.array([1], np.int64), "last"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, path)


def an_onnx_folder(paths: ModelPaths, *lines: str, **form: object) -> None:
    folder = paths.models / "m"
    folder.mkdir(parents=True)
    a_network(folder / "n.onnx", **form)  # type: ignore[arg-type]  # by their names
    text = "\n".join(['network = "n.onnx"', 'labels = ["light", "dark"]', *lines, PREPROCESSING])
    (folder / "model.toml").write_text(text)


@pytest.mark.parametrize("batch", [1, "n"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_every_form_of_input_gives_the_same_answer(
    paths: ModelPaths, layout: str, kind: int, batch: int | str
) -> None:
    an_onnx_folder(paths, f'layout = "{layout}"', layout=layout, kind=kind, batch=batch)
    model = load(paths, "m")

    assert seen(model, 230)["light"] > 0.95
    assert seen(model, 20)["dark"] > 0.95


def test_channels_last_are_noticed_and_named(paths: ModelPaths) -> None:
    an_onnx_folder(paths, layout="NHWC")

    reason = refusal(paths, "m")

    assert 'set layout = "NHWC"' in reason
    assert "n.onnx" in reason


def test_a_fixed_batch_of_more_is_refused_with_what_to_do(paths: ModelPaths) -> None:
    an_onnx_folder(paths, batch=4)

    assert "export it with a batch of 1, or a free one" in refusal(paths, "m")


# Text files


def test_labels_from_windows_have_neither_a_mark_nor_carriage_returns(paths: ModelPaths) -> None:
    folder = copied(paths, "o-labels-bom-crlf")
    toml = folder / "model.toml"
    toml.write_bytes(b"\xef\xbb\xbf" + toml.read_bytes().replace(b"\n", b"\r\n"))
    (folder / "labels.txt").write_bytes((folder / "labels.txt").read_bytes() + b"\r\n\r\n")

    assert set(seen(load(paths, "o-labels-bom-crlf"), 230)) == {"light", "dark"}


def test_labels_that_are_not_there_are_named(paths: ModelPaths) -> None:
    (copied(paths, "o-labels-bom-crlf") / "labels.txt").unlink()

    assert "labels.txt, the file of labels, cannot be read" in refusal(paths, "o-labels-bom-crlf")


# Checkpoints


def weights(
    paths: ModelPaths, content: object, *, file: str = "w.pth", network: str = NETWORK
) -> str:
    """Make a folder with these weights; return its name."""
    folder = paths.models / "m"
    folder.mkdir(parents=True)
    (folder / "network.py").write_text(network)
    text = f'architecture="network:Net"\nweights="{file}"\nlabels=["light","dark"]\n{PREPROCESSING}'
    (folder / "model.toml").write_text(text)
    if file.endswith(".safetensors"):
        save_file(content, folder / file)  # type: ignore[arg-type]  # a state dict
    else:
        torch.save(content, folder / file)
    return "m"


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        (STATE, ""),
        ({"epoch": 3, "state_dict": STATE, "lr": 0.1}, "'state_dict' was taken"),
        ({"model_state_dict": STATE, "optimizer_state_dict": {}}, "'model_state_dict' was taken"),
        (prefixed("module."), "'module.' was taken off"),
        (prefixed("_orig_mod."), "'_orig_mod.' was taken off"),
        (prefixed("_orig_mod.module."), "'_orig_mod.module.' was taken off"),
        ({"state_dict": prefixed("model.")}, "'model.' was taken off"),
    ],
)
def test_weights_are_found_however_they_were_saved(
    paths: ModelPaths, content: object, remark: str
) -> None:
    model = load_model(weights(paths, content), paths, runtime="torch", threads=1)

    assert seen(model, 230)["light"] > 0.95
    assert remark in model.remark


def test_safetensors_have_prefixes_too_and_an_export_keeps_the_remark(paths: ModelPaths) -> None:
    model = load(paths, weights(paths, prefixed("module."), file="w.safetensors"))

    assert seen(model, 20)["dark"] > 0.95
    assert "'module.' was taken off" in model.remark


def test_a_whole_pickled_network_is_refused_with_what_to_do(paths: ModelPaths) -> None:
    name = weights(paths, torch.nn.Linear(1, 2))

    reason = refusal_by_torch(paths, name)

    assert "whole pickled network" in reason
    assert "torch.save(network.state_dict(), PATH)" in reason


def test_torchscript_is_refused_with_what_to_do(paths: ModelPaths) -> None:
    name = weights(paths, STATE)
    with zipfile.ZipFile(paths.models / name / "w.pth", "w") as archive:
        archive.writestr("w/code/__torch__.py", "class Module: ...")

    reason = refusal_by_torch(paths, name)

    assert "w.pth is a TorchScript program" in reason
    assert "torch.save(network.state_dict(), PATH)" in reason


def test_a_checkpoint_without_weights_is_refused_with_what_it_has(paths: ModelPaths) -> None:
    reason = refusal_by_torch(paths, weights(paths, {"epoch": 3, "lr": 0.1}))

    assert "w.pth has no state dict" in reason
    assert "'epoch', 'lr'" in reason


def test_weights_that_do_not_fit_are_named_with_what_does_not(paths: ModelPaths) -> None:
    state = STATE | {"fc.weight": torch.zeros(3, 1)}

    reason = refusal_by_torch(paths, weights(paths, state))

    assert "w.pth does not fit its architecture" in reason
    assert "size mismatch for fc.weight" in reason


def refusal_by_torch(paths: ModelPaths, name: str) -> str:
    with pytest.raises(ModelUnavailableError) as refused:
        load_model(name, paths, runtime="torch", threads=1)
    return str(refused.value)


def test_a_fine_tuned_torchvision_network_has_the_classes_of_its_labels(paths: ModelPaths) -> None:
    folder = paths.models / "m"
    folder.mkdir(parents=True)
    network = torchvision_zoo.architecture("squeezenet1_1", classes=2)
    torch.save(network.state_dict(), folder / "w.pth")
    text = (
        'architecture="torchvision:squeezenet1_1"\nweights="w.pth"\nlabels=["cat","dog"]\n'
        + PREPROCESSING.replace("[8,8]", "[64,64]")
    )
    (folder / "model.toml").write_text(text)

    model = load_model("m", paths, runtime="torch", threads=1)

    assert set(seen(model, 128)) == {"cat", "dog"}
    assert "squeezenet1_1 with 2 classes instead of 1000" in model.remark


# Predictors


def test_probabilities_of_a_predictor_may_be_off_by_rounding(paths: ModelPaths) -> None:
    folder = paths.models / "p"
    folder.mkdir(parents=True)
    (folder / "rounding.py").write_text(ROUNDING)
    (folder / "model.toml").write_text('predictor = "rounding:Predictor"')

    assert seen(load(paths, "p"), 230) == {"light": 1.0, "dark": 0.0}


def test_what_rounding_does_not_explain_is_no_probability(paths: ModelPaths) -> None:
    folder = paths.models / "p"
    folder.mkdir(parents=True)
    (folder / "rounding.py").write_text(ROUNDING.replace("1.0000001192", "1.01"))
    (folder / "model.toml").write_text('predictor = "rounding:Predictor"')

    with pytest.raises(ValueError, match=r"not in 0\.\.1"):
        seen(load(paths, "p"), 230)


# Folders that are gone


def test_a_folder_that_was_removed_serves_no_more(removed: ModelPaths) -> None:
    assert "'m' is neither a folder" in refusal(removed, "m")


def test_where_there_is_no_torch_an_export_travels_alone_and_says_so(
    removed: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("engine.models.exports", "engine.models.exported"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None if name == "torch" else name)

    model = load(removed, "m")

    assert seen(model, 230)["light"] > 0.95
    assert "its folder is not here" in model.remark
