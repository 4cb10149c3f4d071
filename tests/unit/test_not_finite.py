"""A network that gives NaN fails that image, and no other image, job or model."""

import json
import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import structlog

from common import logs
from common.workers import ModelState
from engine.inference import Models
from engine.models.classifier import top_k_predictions
from engine.models.errors import NotFiniteError
from engine.protocol import Answer, EngineConfig, Question, Refusal
from engine.runtimes.equivalence import NotEquivalentError, difference
from tests.examples import JOB_ID

MODELS = Path(__file__).parent / "models"


def image(kind: str) -> bytes:
    """Encode noise around a level of grey, or one colour."""
    from io import BytesIO  # noqa: PLC0415

    chance = np.random.default_rng(0)
    noise = chance.integers(-5, 5, (32, 32)) if kind != "flat" else 0
    level = {"light": 230, "dark": 20, "flat": 200}[kind]
    pixels = np.broadcast_to(np.asarray(level + noise), (32, 32)).astype(np.uint8)
    buffer = BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_nan_fails_its_image_and_the_others_of_its_batch_are_answered(tmp_path: Path) -> None:
    config = EngineConfig(
        models=("o-nan",),
        models_dir=MODELS,
        weights_dir=tmp_path,
        threads=1,
        lines=1,
        runtime="onnx",
        max_image_pixels=10_000,
        log_level="WARNING",
        log_format="console",
    )
    models = Models.load(config)
    assert [model.state for model in models.served] == [ModelState.READY]

    asked = [Question(JOB_ID, image(kind), "o-nan", 2) for kind in ("light", "flat", "dark")]
    light, flat, dark = models.prepare(asked).answer()

    assert isinstance(light, Answer)
    assert isinstance(flat, Refusal)
    assert flat.reason.type == "urn:darkroom:problem:model-failed"
    assert "not finite" in flat.reason.detail
    assert isinstance(dark, Answer)


@pytest.mark.parametrize("logit", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_have_no_probabilities(logit: float) -> None:
    with pytest.raises(NotFiniteError, match="not finite"):
        top_k_predictions(np.array([0.0, logit], np.float32), ("a", "b"), 2)


def test_a_runtime_that_gives_nan_does_not_agree() -> None:
    probe = np.zeros((2, 3), np.float32)
    nan = np.full((2, 3), np.nan, np.float32)

    with pytest.raises(NotEquivalentError, match="not finite"):
        difference(lambda x: x, lambda x: nan[: len(x)], probe)


def test_nothing_agrees_with_logits_that_are_not_finite() -> None:
    probe = np.full((2, 3), np.nan, np.float32)

    with pytest.raises(NotEquivalentError, match="not finite"):
        difference(lambda x: x, np.zeros_like, probe)


def test_a_log_line_with_nan_is_json_and_keeps_its_other_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handlers, level, config = logging.root.handlers, logging.root.level, structlog.get_config()
    try:
        logs.configure(role="api", level="INFO", style="json")
        logging.getLogger("test").info("odd", extra={"of": [{"number": float("nan")}], "job": 7})
    finally:
        logging.root.handlers, logging.root.level = handlers, level
        structlog.configure(**config)

    [line] = capsys.readouterr().err.splitlines()
    told = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (told["event"], told["of"], told["job"]) == ("odd", [{"number": "nan"}], 7)
