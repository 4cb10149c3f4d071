"""A model is quantized, compared with the original, and installed if the results agree."""

import json
import math
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import PIL.Image
import pytest
from onnx import helper
from sklearn.datasets import load_digits

from common.settings.consumer import Runtime
from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.paths import ModelPaths
from engine.preprocessing import Preprocessing
from engine.runtimes.network import Floats
from engine.runtimes.on_onnx import OnnxNetwork
from engine.runtimes.on_openvino import OpenVinoNetwork
from engine.runtimes.precision import Precision
from modeltools import __main__ as command_line
from modeltools.quantizing import measuring, speed
from modeltools.quantizing.comparison import Accuracy, compare
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.int8 import write_int8
from modeltools.quantizing.photographs import Photographs
from modeltools.quantizing.quantize import Quantized, quantize
from modeltools.quantizing.report import Report
from modeltools.quantizing.request import QuantizeRequest
from tests.unit.conftest import DIGITS
from tests.unit.test_onnx_folder import bring_along

ROOT = Path(__file__).parents[2]

Make = Callable[..., Quantized]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Handwritten digits: `many`, in sub-folders, and `usual` and `few`, flat."""
    folder = tmp_path_factory.mktemp("photographs")
    digits = load_digits()
    for n, (ink, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        image = PIL.Image.fromarray(np.rint(255 - ink * 255 / 16).astype(np.uint8))
        kinds = {0: f"many/{digit}", 1: "usual"} if n % 50 else {0: "few", 1: "usual"}
        if kind := kinds.get(n % 5):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image.save(folder / kind / f"{n}.png")
    return folder


@pytest.fixture(autouse=True)
def _any_machine_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "TURN_S", 0.001)
    monkeypatch.setattr(OpenVinoNetwork, "is_bf16", True)


@pytest.fixture
def make(paths: ModelPaths, photographs: Path) -> Make:
    def make_one(**changes: Any) -> Quantized:
        fields = {
            "name": "digits",
            "to": "int8",
            "calibrate": photographs / "usual",
            "evaluate": photographs / "many",
            "force": False,
            "paths": paths,
            "reports": paths.weights / "reports",
            "runtime": "onnx",
            "threads": 1,
            "max_pixels": 10**6,
        }
        return quantize(QuantizeRequest(**{**fields, **changes}))

    return make_one


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("to", "share"), [("int8", 0.4), ("bf16", 0.6)])
def test_digits_in_fewer_bits_agree_and_are_installed_with_a_report(
    make: Make, paths: ModelPaths, to: str, share: float
) -> None:
    outcome = make(to=to)

    folder, report = paths.models / f"digits-{to}", outcome.report
    assert outcome.is_installed
    assert report.photographs == report.labelled > 300
    assert 0.99 <= report.top_1_agreement <= 1
    assert 0.95 <= report.top_5_agreement <= 1
    assert report.after.accuracy is not None
    assert report.before.accuracy is not None
    assert report.after.accuracy.top_1 == pytest.approx(report.before.accuracy.top_1, abs=0.01)
    assert report.after.file_bytes < share * report.before.file_bytes
    assert Report.model_validate_json((folder / "report.json").read_text()) == report
    assert (folder / "report.md").read_text() == report.as_markdown()
    measured = tomllib.loads((folder / "model.toml").read_text())["measured"]
    assert measured["top_1_agreement"] == round(report.top_1_agreement, 4)
    assert names_in(paths.models) == ["digits", f"digits-{to}"]


@pytest.mark.parametrize(
    ("to", "runtime", "served_by"),
    [
        ("int8", "onnx", "onnx"),
        ("int8", "openvino", "openvino"),
        ("int8", "torch", "onnx"),
        ("bf16", "openvino", "openvino"),
        ("bf16", "onnx", "openvino"),
    ],
)
def test_it_is_served_without_torch(
    make: Make, paths: ModelPaths, to: str, runtime: Runtime, served_by: str
) -> None:
    make(to=to)

    script = f"""
import sys, PIL.Image
from pathlib import Path
from engine.models.loading import load_model
from engine.models.model import classify
from engine.models.paths import ModelPaths
paths = ModelPaths(Path({str(paths.models)!r}), Path({str(paths.weights)!r}))
model = load_model("digits-{to}", paths, runtime={runtime!r}, threads=1)
image = PIL.Image.open({str(DIGITS / "samples" / "7.png")!r}).convert("RGB")
[[best]] = classify(model, [image], top_k=1)
print(best.label, model.runtime, model.precision, model.version)
print({{"torch", "onnx", "tqdm"}} & set(sys.modules))
"""
    ended = subprocess.run(  # noqa: S603 (a script of this file)
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT
    )

    model = load_model(f"digits-{to}", paths, runtime=runtime, threads=1)
    told, loaded = ended.stdout.splitlines()
    label, by, precision, version = told.split()
    assert (label, by, version) == ("7", served_by, model.version)
    # Not every processor has bfloat16.
    assert precision in {"int8": {"int8"}, "bf16": {"bfloat16", "float32"}}[to]
    assert loaded == "set()"
    assert bool(model.remark) == (runtime != served_by)


def test_what_falls_short_is_not_installed_and_its_report_kept(
    make: Make, paths: ModelPaths, tmp_path: Path
) -> None:
    white = tmp_path / "white"
    white.mkdir()
    PIL.Image.new("L", (8, 8), 255).save(white / "1.png")  # no range can be calibrated with this

    outcome = make(calibrate=white)

    assert not outcome.is_installed
    assert outcome.report.top_1_agreement < 0.99
    assert ["99%" in reason for reason in outcome.report.shortcomings()] == [True]
    assert outcome.file == paths.weights / "reports" / "digits-int8.md"
    assert "**Falls short**" in outcome.file.read_text()
    assert names_in(paths.models) == ["digits"]


def test_few_photographs_are_not_enough_to_judge_by_unless_forced(
    make: Make, paths: ModelPaths, photographs: Path
) -> None:
    refused = make(evaluate=photographs / "few")
    forced = make(evaluate=photographs / "few", force=True)

    assert (refused.is_installed, forced.is_installed) == (False, True)
    assert ["too few" in reason for reason in refused.report.shortcomings()] == [True]
    assert (refused.report.labelled, refused.report.after.accuracy) == (0, None)
    assert "digits-int8" in names_in(paths.models)


def test_what_cannot_be_read_is_named_and_skipped(
    make: Make, photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "some"
    shutil.copytree(photographs / "few", folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / ".hidden").write_text("not looked at")

    outcome = make(evaluate=folder)

    assert list(outcome.report.skipped) == [str(folder / "broken.jpg")]
    assert "broken.jpg" in outcome.report.as_markdown()
    assert outcome.report.photographs == len(names_in(photographs / "few"))


def test_layers_stay_in_float32_until_the_rest_agrees(
    paths: ModelPaths, photographs: Path, tmp_path: Path
) -> None:
    [source] = (paths.weights / "exports").glob("*.onnx")
    images = [
        np.asarray(PIL.Image.open(path), np.float32).reshape(1, 1, 8, 8) / np.float32(255)
        for path in sorted((photographs / "usual").iterdir())[:50]
    ]
    wanted = best_labels(source, images)

    at_once = write_int8(source, tmp_path / "1.onnx", images, enough=0)
    never = write_int8(source, tmp_path / "2.onnx", images, enough=1.1)

    first, best = (np.mean(best_labels(tmp_path / f, images) == wanted) for f in FILES)
    assert (at_once, never in {0, 1, 2}) == (0, True)
    assert best >= first


FILES = ("1.onnx", "2.onnx")


def best_labels(file: Path, images: list[Floats]) -> npt.NDArray[np.intp]:
    network = OnnxNetwork(file, threads=1)
    return np.array([network(image).argmax() for image in images])


def test_a_network_without_layers_cannot_be_in_8_bits(tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["n", 3])
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 3])
    node = helper.make_node("Relu", ["images"], ["logits"])
    opset = [helper.make_opsetid("", 18)]
    graph = helper.make_graph([node], "no layers", [image], [logits])
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "0.onnx")

    with pytest.raises(CannotQuantizeError, match="no convolutions"):
        write_int8(
            tmp_path / "0.onnx", tmp_path / "1.onnx", [np.zeros((1, 3), np.float32)], enough=1
        )


ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "no such model": ({"name": "nothing"}, "nor a torchvision model"),
    "no such folder": ({"evaluate": Path("nowhere")}, "nowhere is not a folder"),
    "nothing to calibrate with": ({"calibrate": None}, "--calibrate"),
}


@pytest.mark.parametrize(("changes", "reason"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_is_wrong_and_leaves_nothing(
    make: Make, paths: ModelPaths, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises((CannotQuantizeError, ModelUnavailableError), match=reason):
        make(**changes)

    assert names_in(paths.models) == ["digits"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "has no files"),
        ({"a.txt": "no image"}, "no file can be read; the first is .*a.txt"),
        ({"seven/1.png": ""}, "'seven' is no label of the model"),
        ({"labels.csv": "1.png", "1.png": ""}, "not a file and a label: 1.png"),
    ],
)
@pytest.mark.parametrize("role", ["calibrate", "evaluate"])
def test_a_folder_that_cannot_be_used_is_refused(
    make: Make, tmp_path: Path, files: dict[str, str], reason: str, role: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    with pytest.raises(CannotQuantizeError, match=reason):
        make(**{role: folder})


def test_a_model_that_is_there_is_not_replaced(make: Make, paths: ModelPaths) -> None:
    (paths.models / "digits-int8").mkdir()

    with pytest.raises(CannotQuantizeError, match=r"digits-int8 already exists"):
        make(force=True)


def test_only_a_network_in_float32_is_quantized(make: Make, paths: ModelPaths) -> None:
    make()
    (paths.models / "mine").mkdir()
    (paths.models / "mine" / "model.toml").write_text('predictor = "mine:Mine"')

    with pytest.raises(CannotQuantizeError, match="is in int8 already"):
        make(name="digits-int8", to="bf16")
    with pytest.raises(CannotQuantizeError, match="is Python code"):
        make(name="mine")


def test_a_network_that_was_brought_along_is_quantized_too(make: Make, paths: ModelPaths) -> None:
    bring_along(paths)

    outcome = make(name="brought")

    assert outcome.is_installed
    assert outcome.report.after.file_bytes < 0.4 * outcome.report.before.file_bytes
    source, made = (
        load_model(name, paths, runtime="onnx", threads=1) for name in ("brought", "brought-int8")
    )
    assert outcome.report.source_version == source.version != made.version
    assert outcome.report.version == made.version


def test_bfloat16_is_unavailable_without_openvino(
    make: Make, paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(to="bf16")
    monkeypatch.setitem(sys.modules, "engine.runtimes.on_openvino", None)

    with pytest.raises(ModelUnavailableError, match="pip install openvino"):
        load_model("digits-bf16", paths, runtime="onnx", threads=1)


def test_a_processor_without_bfloat16_is_told_of(
    make: Make, paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(to="bf16")
    monkeypatch.setattr(OpenVinoNetwork, "is_bf16", False)

    model = load_model("digits-bf16", paths, runtime="openvino", threads=1)
    shutil.rmtree(paths.models / "digits-bf16")

    assert model.remark == "this processor has no bfloat16: computed in float32"
    with pytest.raises(CannotQuantizeError, match="gains nothing"):
        make(to="bf16")


def test_onnxruntime_serves_8_bits_that_openvino_computes_wrongly(
    make: Make, paths: ModelPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    monkeypatch.setattr(OpenVinoNetwork, "__call__", lambda _self, images: -images[:, 0, 0, :5])

    model = load_model("digits-int8", paths, runtime="openvino", threads=1)

    assert (model.runtime, model.remark[:9]) == ("onnx", "OpenVINO:")


def test_memory_that_cannot_be_told_is_left_out_of_the_report(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = make().report
    monkeypatch.setattr(measuring, "resident_mb", lambda *_args, **_options: None)

    untold = make(to="bf16", calibrate=None).report

    assert "memory" in told.as_markdown()
    assert "memory" not in untold.as_markdown()


class Answering:
    """A network that gives the same logits, one photograph after another."""

    runtime = "onnx"
    precision: Precision = "float32"

    def __init__(self, logits: list[list[float]]) -> None:
        self._answers = iter(logits)

    def __call__(self, images: Floats) -> Floats:
        return np.array([next(self._answers)], np.float32)


def photographs_in(folder: Path, labels: Sequence[str]) -> Photographs:
    for name in ("1", "2", "3"):
        PIL.Image.new("L", (1, 1)).save(folder / f"{name}.png")
    (folder / "labels.csv").write_text("1.png,b\n3.png,a\n")
    preprocessing = Preprocessing(mode="L", mean=(0.0,), std=(1.0,))
    return Photographs.in_folder(folder, labels=labels, preprocessing=preprocessing, max_pixels=1)


def test_agreement_and_accuracy_are_shares_of_the_photographs(tmp_path: Path) -> None:
    labels = ("a", "b", "c", "d", "e", "f", "a")
    before = Answering([[6, 5, 4, 3, 2, 1, 0], [6, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5, 6]])
    after = Answering([[5, 6, 4, 3, 2, 1, 0], [6, 5, 4, 3, 1, 2, 0], [0, 1, 2, 3, 4, 5, 6]])

    seen = compare(before, after, photographs_in(tmp_path, labels), labels)

    assert seen.top_1_agreement == pytest.approx(2 / 3)
    assert seen.top_5_agreement == pytest.approx((1 + 4 / 5 + 1) / 3)
    assert seen.accuracy_before() == Accuracy(top_1=0.5, top_5=1)  # the other "a" counts, too
    assert seen.accuracy_after() == Accuracy(top_1=1, top_5=1)


def test_logits_that_are_not_finite_agree_with_nothing_and_are_never_right(tmp_path: Path) -> None:
    labels = ("a", "b")
    before = Answering([[0, 1], [math.nan, 1], [1, 0]])
    after = Answering([[math.nan, 1], [math.nan, 1], [1, 0]])

    seen = compare(before, after, photographs_in(tmp_path, labels), labels)

    assert seen.top_1_agreement == pytest.approx(1 / 3)
    assert seen.top_5_agreement == pytest.approx(1 / 3)
    assert seen.accuracy_before() == Accuracy(top_1=1, top_5=1)
    assert seen.accuracy_after() == Accuracy(top_1=0.5, top_5=0.5)


@pytest.fixture
def _set(monkeypatch: pytest.MonkeyPatch, paths: ModelPaths, no_settings: None) -> None:
    monkeypatch.setenv("DARKROOM_MODELS_DIR", str(paths.models))
    monkeypatch.setenv("DARKROOM_WEIGHTS_DIR", str(paths.weights))
    monkeypatch.setenv("DARKROOM_STATE_DIR", str(paths.weights.parent))


@pytest.mark.usefixtures("_set")
def test_the_command_tells_what_it_did(
    photographs: Path,
    paths: ModelPaths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = ["--calibrate", "usual", "--evaluate", "few"]
    words = ["model", "--relative-to", str(photographs), "quantize", "digits", *folders]
    monkeypatch.setattr(sys, "argv", words)
    refused = command_line.main()
    told = capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*words, "--force"])
    installed = command_line.main()

    kept = paths.weights.parent / "reports" / "digits-int8.md"
    assert (refused, installed) == (1, 0)
    assert told.out.startswith("# digits-int8")
    assert f"The report is in {kept}" in told.err
    assert json.loads(kept.with_suffix(".json").read_text())["model"] == "digits-int8"
    assert "To serve it: DARKROOM_MODELS=digits-int8" in capsys.readouterr().out


@pytest.mark.usefixtures("_set")
@pytest.mark.parametrize(
    ("missing", "word"), [("tqdm", "extra"), ("", "is not a folder")], ids=["extra", "folder"]
)
def test_the_command_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
    word: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["model", "quantize", "digits", "--evaluate", "nowhere"])
    if missing:
        for name in [name for name in sys.modules if name.startswith("modeltools.quanti")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)

    status = command_line.main()

    assert status == 1
    assert word in capsys.readouterr().err


@pytest.mark.usefixtures("_set")
def test_a_name_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["model", "quantize", "../etc", "--evaluate", "x"])

    with pytest.raises(SystemExit, match="2"):
        command_line.main()
