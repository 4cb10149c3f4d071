"""What unit tests share: the API over fakes, no settings, and hypothesis without a clock."""

import os

import hypothesis
import pytest

from common.settings import PREFIX
from tests.service import Api

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
