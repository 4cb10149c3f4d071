"""What unit tests share: the API over fakes, and hypothesis without a clock."""

import os

import hypothesis
import pytest

from tests.service import Api

# No deadline: the machines that run this are shared.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if "CI" in os.environ else "here")


@pytest.fixture
def api() -> Api:
    return Api()
