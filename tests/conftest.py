"""What all tests share: a marker a folder, and the stores to test against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.parts import make_store
from testbed.server import running

WEIGHTS_DIR = "DARKROOM_WEIGHTS_DIR"

_TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(_TESTS).parts[0])


@pytest.fixture(scope="session", autouse=True)
def _weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let all systems share their exports: making one loads torch, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS_DIR, str(tmp_path_factory.mktemp("weights")))
        yield


@pytest.fixture(scope="session")
def standalone_mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An nx-27017 server of its own."""
    store = make_store(tmp_path_factory.mktemp("store"))
    with running(store.program()):
        yield store.url
