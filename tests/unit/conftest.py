"""What unit tests share: the API over fakes, no settings, and hypothesis without a clock."""

import os
import shutil
from pathlib import Path

import hypothesis
import pytest

from common.settings.base import PREFIX
from engine.models.loading import load_model
from engine.models.paths import ModelPaths
from tests.service import Api

DIGITS = Path(__file__).parents[2] / "models" / "digits"

# No deadline: the machines that run this are shared.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "here")


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _exported_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(DIGITS, folder / "models" / "digits")
    paths = ModelPaths(folder / "models", folder / "weights")
    load_model("digits", paths, runtime="onnx", threads=1)
    return folder


@pytest.fixture
def paths(_exported_digits: Path, tmp_path: Path) -> ModelPaths:
    """The digits, to be changed, with their export, which takes some seconds to make."""
    shutil.copytree(_exported_digits, tmp_path, dirs_exist_ok=True)
    return ModelPaths(tmp_path / "models", tmp_path / "weights")
