"""A network in an ONNX file is served from its folder."""

from pathlib import Path

import onnx
import PIL.Image
import pytest

from engine.models.errors import ModelUnavailableError
from engine.models.loading import load_model
from engine.models.model import classify
from engine.models.paths import ModelPaths
from tests.unit.conftest import DIGITS


def bring_along(paths: ModelPaths, **changes: str) -> Path:
    """Make the folder `brought`, with the export of the digits as the user's own network."""
    [exported] = (paths.weights / "exports").glob("*.onnx")
    folder = paths.models / "brought"
    folder.mkdir()
    model = onnx.load(exported)
    for node in model.graph.node:
        node.input[:] = ["x" if name == "images" else name for name in node.input]
        node.name = ""  # many exporters give none
    model.graph.input[0].name = "x"
    onnx.save(model, folder / "mine.onnx")
    described = (DIGITS / "model.toml").read_text().replace("weights = ", "# weights = ")
    described = described.replace("architecture = ", 'network = "mine.onnx" # ')
    for old, new in changes.items():
        described = described.replace(old, new)
    (folder / "model.toml").write_text(described)
    return folder


def test_a_network_that_was_brought_along_is_served_whatever_its_input_is_called(
    paths: ModelPaths,
) -> None:
    bring_along(paths)

    model = load_model("brought", paths, runtime="onnx", threads=1)

    [[best]] = classify(model, [PIL.Image.open(DIGITS / "samples" / "3.png")], top_k=1)
    assert (best.label, model.precision, model.remark) == ("3", "float32", "")


def test_a_network_with_another_number_of_labels_is_unavailable(paths: ModelPaths) -> None:
    bring_along(paths, **{'"8", "9"]': '"8"]'})

    with pytest.raises(ModelUnavailableError, match=r"\(2, 10\), but model.toml has 9 labels"):
        load_model("brought", paths, runtime="onnx", threads=1)


@pytest.mark.parametrize(
    "described",
    ['predictor = "a:B"\nprecision = "int8"', 'program = "p"\nnetwork = "n"', 'precision = "int4"'],
)
def test_a_description_of_two_kinds_is_refused(paths: ModelPaths, described: str) -> None:
    folder = paths.models / "mixed"
    folder.mkdir()
    (folder / "model.toml").write_text(f"{described}\n")

    with pytest.raises(ModelUnavailableError, match=r"model\.toml: "):
        load_model("mixed", paths, runtime="onnx", threads=1)


def test_a_network_that_takes_one_image_only_is_served_one_by_one(paths: ModelPaths) -> None:
    folder = bring_along(paths)
    model = onnx.load(folder / "mine.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, folder / "mine.onnx")

    served = load_model("brought", paths, runtime="onnx", threads=1)

    images = [PIL.Image.open(DIGITS / "samples" / f"{digit}.png") for digit in (3, 7)]
    assert [best.label for [best] in classify(served, images, top_k=1)] == ["3", "7"]
    assert "one by one" in served.remark


def test_labels_of_a_network_may_lie_in_a_file(paths: ModelPaths) -> None:
    folder = bring_along(paths, **{'["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]': '"l.txt"'})
    (folder / "l.txt").write_text("\n".join("abcdefghij"))

    model = load_model("brought", paths, runtime="onnx", threads=1)

    [[best]] = classify(model, [PIL.Image.open(DIGITS / "samples" / "3.png")], top_k=1)
    assert best.label == "d"
