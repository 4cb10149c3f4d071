"""What all tests share: how they run side by side, and their servers."""

import os
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from standalone.errors import CannotStartError
from testbed.broker import Broker, make_node
from testbed.parts import make_store
from testbed.server import Server, running

WEIGHTS_DIR: Final = "DARKROOM_WEIGHTS_DIR"

# What takes longest starts first. Tests of systems mostly wait, those of the last stage compute.
_STAGES: Final = (("compose", "e2e", "drills"), ("integration",), ("unit", "contract"))
# Many tests wait for servers, processes and limits of time, so more of them than cores can run.
_WORKERS_PER_CORE: Final = 2


def pytest_xdist_auto_num_workers() -> int:
    """Return how many tests `-n auto` runs side by side."""
    return round(_WORKERS_PER_CORE * (os.cpu_count() or 1))


class _Scheduler(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Keeps tests that share a system in one process; the groups of `--dist loadgroup`.

    pytest-xdist 3.8 does not see those under pytest 9.2 (its issue 1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Scheduler:
    return _Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder, and order the tests by stage.

    The folders of a stage are mixed evenly, so that few containers run at the same time. Those
    with the fewest scopes begin last: containers, whose images may not be ready yet.
    """
    scopes = defaultdict[str, dict[str, None]](dict)  # by folder, in their order
    for item in items:
        folder = _folder(item.nodeid)
        item.add_marker(folder)
        scopes[folder][_scope(item.nodeid)] = None
    order = {
        scope: (stage, (number + 0.5) / len(scopes[folder]))
        for stage, folders in enumerate(_STAGES)
        for folder in folders
        for number, scope in enumerate(scopes[folder])
    }
    items.sort(key=lambda item: order[_scope(item.nodeid)])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show how many seconds the tests of each folder took."""
    spent_s = defaultdict[str, float](float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                spent_s[_folder(report.nodeid)] += report.duration
    parts = ", ".join(f"{folder} {spent_s[folder]:.0f}" for folder in chain(*_STAGES))
    terminalreporter.write_line(f"seconds spent in tests: {parts}")


def _folder(nodeid: str) -> str:
    return Path(nodeid).parts[1]


def _scope(nodeid: str) -> str:
    """Return what runs in one process: a module, or a drill."""
    module = nodeid.partition("::")[0]
    return nodeid if Path(module).name == "test_drills.py" else module


@pytest.fixture(scope="session", autouse=True)
def _weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let all systems share their exports, since making one loads torch, which takes seconds."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the one that all workers have
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(WEIGHTS_DIR, str(folder / "weights"))
        yield


@pytest.fixture(scope="session")
def rabbitmq_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node with its own port mapper, not yet started; tests use :func:`rabbitmq`."""
    try:
        node = make_node(tmp_path_factory.mktemp("rabbitmq"))
    except CannotStartError as exc:
        nothing_to_test_against(str(exc))
    port_mapper, _ = node.programs()
    broker = Broker(node)
    with running(port_mapper):
        yield broker
        broker.stop()


@pytest.fixture
def rabbitmq(rabbitmq_node: Broker) -> Iterator[Broker]:
    """A running node, for tests that stop it, freeze it or raise its alarm."""
    rabbitmq_node.recover()
    yield rabbitmq_node
    rabbitmq_node.recover()


@pytest.fixture(scope="session")
def standalone_mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An nx-27017 server of its own."""
    store = make_store(tmp_path_factory.mktemp("store"))
    server = Server(store.program())
    server.start()
    yield store.url
    server.kill()  # nobody reads it again


def nothing_to_test_against(reason: str) -> None:
    """Skip on a laptop, where a server may be missing; fail in CI, where it may not."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
