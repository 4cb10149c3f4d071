"""`model fetch` downloads and exports models, and reports those that are not available."""

import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Final

import pytest

from engine.models.errors import ModelUnavailableError
from engine.models.exported import export_of
from engine.models.exports import Exports
from engine.models.origin import Origin
from engine.models.paths import ModelPaths

ROOT: Final = Path(__file__).parents[2]


def fetch(weights: Path, *arguments: str) -> CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "modeltools", "fetch", *arguments],
        cwd=ROOT,
        env={**os.environ, "DARKROOM_WEIGHTS_DIR": str(weights), "DARKROOM_MODELS": "digits"},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CompletedProcess[str]]:
    """A folder of weights into which a model was fetched, and what the command printed."""
    weights = tmp_path_factory.mktemp("weights")
    return weights, fetch(weights, "digits", "no_such_model")


def test_what_can_be_had_is_exported_and_the_rest_is_named(
    fetched: tuple[Path, CompletedProcess[str]],
) -> None:
    weights, ended = fetched

    ready, missing = ended.stdout.splitlines()
    assert ended.returncode == 0
    assert ready == "digits: ready, computed by onnx"
    assert missing.startswith("no_such_model: NOT AVAILABLE: 'no_such_model' is neither a folder")
    origin = Origin.find("digits", ModelPaths(ROOT / "models", weights))
    assert Exports.below(weights).find(origin) is not None


@pytest.mark.parametrize(
    ("arguments", "status"), [(["no_such_model"], 1), (["--all", "digits", "no_such_model"], 1)]
)
def test_it_fails_if_nothing_can_be_had_or_not_all_that_must_be(
    fetched: tuple[Path, CompletedProcess[str]], arguments: list[str], status: int
) -> None:
    weights, _ = fetched

    assert fetch(weights, *arguments).returncode == status


def test_the_models_that_are_configured_are_fetched_by_default(
    fetched: tuple[Path, CompletedProcess[str]],
) -> None:
    weights, _ = fetched

    assert fetch(weights).stdout == "digits: ready, computed by onnx\n"


def test_a_consumer_without_torch_says_that_a_model_was_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.models.exported.find_spec", lambda _name: None)

    with pytest.raises(ModelUnavailableError, match="it has no export, and torch"):
        export_of(Origin.find("digits", ModelPaths(ROOT / "models", tmp_path)))
