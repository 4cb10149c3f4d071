"""Large JPEGs are decoded at a reduced size where a setting asks for it, and the result says so."""

from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import PIL.Image
import pytest

import engine.inference
from common.jobs import JobId
from engine.inference import Models
from engine.models.predictor import PredictorModel
from engine.protocol import EngineConfig, Question

CONFIG = EngineConfig(
    models=("m",),
    models_dir=Path(),
    weights_dir=Path(),
    threads=1,
    lines=1,
    runtime="onnx",
    max_image_pixels=10_000_000,
    log_level="WARNING",
    log_format="console",
)


@dataclass
class Measuring:
    """A predictor that remembers the sizes of what it sees."""

    seen: list[tuple[int, int]] = field(default_factory=list)

    def load(self) -> None: ...

    def predict(self, images: list[PIL.Image.Image]) -> list[list[tuple[str, float]]]:
        self.seen += [image.size for image in images]
        return [[("seen", 1.0)] for _ in images]


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> Measuring:
    measuring = Measuring()
    model = PredictorModel(predictor=measuring, version="v", enough_px=100)
    monkeypatch.setattr(engine.inference, "load_model", lambda *_, **__: model)
    return measuring


def a_jpeg(size: tuple[int, int]) -> bytes:
    buffer = BytesIO()
    PIL.Image.new("RGB", size).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(("scaling", "size"), [(True, (150, 100)), (False, (1200, 800))])
def test_a_model_sees_as_much_as_is_enough_for_it(
    predictor: Measuring, scaling: bool, size: tuple[int, int]
) -> None:
    models = Models.load(replace(CONFIG, dct_scaling=scaling))

    models.prepare([Question(JobId("j"), a_jpeg((1200, 800)), "m", top_k=1)]).answer()

    assert predictor.seen[-1] == size


def test_that_answers_are_not_exact_is_told_of_the_model(predictor: Measuring) -> None:
    [scaled] = Models.load(replace(CONFIG, dct_scaling=True)).served
    [exact] = Models.load(CONFIG).served

    assert scaled.remark == "JPEGs are scaled down to 100 px or more as they are decoded"
    assert exact.remark == ""
