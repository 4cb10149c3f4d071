"""The options of the drills, a process for each, and the table at the end."""

import json
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import TypeAdapter

from testbed.markdown import write_into
from tests.drills.all import DRILLS
from tests.drills.cases import Case, cases
from tests.drills.drill import DrillResult
from tests.drills.report import DRILLS_MARK, WITHOUT_MARK, details, matrix, table
from tests.drills.without import GUARANTEES

_LIMIT_S: Final = 600
_LONG_LIMIT_S: Final = 1800
_PROPERTY: Final = "drill"
_RESULT: Final = TypeAdapter(DrillResult)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("drills", "drills, which `./start.sh drill [NAME]...` runs")
    group.addoption(
        "--drill", action="append", choices=list(DRILLS), metavar="NAME",
        help="run this one, and others so named: " + ", ".join(DRILLS),
    )  # fmt: skip
    group.addoption("--seed", type=int, nargs="+", default=[1], help="one run for each")
    group.addoption(
        "--short", action="store_false", dest="long", default=False, help="less of what takes long"
    )
    group.addoption("--long", action="store_true", dest="long", help="all of what takes long")
    group.addoption(
        "--without", choices=list(GUARANTEES), nargs="+", metavar="GUARANTEE",
        help="take a guarantee away first, one at a time, and expect that a drill notices: "
        + ", ".join(GUARANTEES),
    )  # fmt: skip
    group.addoption("--json", type=Path, metavar="FILE", help="write all results there")
    group.addoption("--write", type=Path, metavar="PAGE", help="put the table into that page")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests of the other kind."""
    other = "test_drills.py" if config.getoption("without") else "test_without.py"
    return True if collection_path.name == other else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each run, or one of all runs that lack a guarantee."""
    asked = cases(metafunc.config)
    limit_s = _LONG_LIMIT_S if metafunc.config.getoption("long") else _LIMIT_S
    if "case" in metafunc.fixturenames:
        # The last take longest: started first, they do not run on alone at the end.
        every = [_param(case, str(case), limit_s) for case in reversed(asked)]
        metafunc.parametrize("case", every)
    if "guarantee" in metafunc.fixturenames:
        taken = dict.fromkeys(case.without for case in asked)
        every = [_param(one, str(one), limit_s * len(asked)) for one in taken]
        metafunc.parametrize("guarantee", every)


def _param(value: object, name: str, limit_s: float) -> Any:
    return pytest.param(value, id=name, marks=pytest.mark.timeout(limit_s))


@pytest.fixture
def result_of(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    record_property: Callable[[str, object], None],
    pytestconfig: pytest.Config,
) -> Callable[[Case], DrillResult]:
    """Run a drill in a process of its own, so that threads, connections and mounts end with it.

    Drills share a RabbitMQ, which takes seconds to start, unless they harm it.
    """

    def run(case: Case) -> DrillResult:
        # Not `tmp_path`: the path of a socket may not be that long.
        folder = tmp_path_factory.mktemp("drill") / str(case)
        short = not pytestconfig.getoption("long")
        node = None if case.has_own_broker else request.getfixturevalue("rabbitmq").node
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            result = pool.submit(partial(case.run, folder, short=short, node=node)).result()
        record_property(_PROPERTY, _RESULT.dump_python(result, mode="json"))
        return result

    return run


class _Announcer:
    """Reports each run at once, since others may take long."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        for result in _results([report]):
            terminal.ensure_newline()
            terminal.write_line(details(result))


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.has_plugin("terminalreporter"):
        config.pluginmanager.register(_Announcer(config))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the table, and write the files that are asked for."""
    reports = [one for some in terminalreporter.stats.values() for one in some]
    found = {Case(one.drill, one.seed, one.without): one for one in _results(reports)}
    results = [found[case] for case in cases(config) if case in found]
    if not results:
        return
    if config.getoption("without"):
        mark, text = WITHOUT_MARK, matrix(results)
    else:
        mark, text = DRILLS_MARK, table(results)
    terminalreporter.section("drills")
    terminalreporter.write_line(text)
    if (page := config.getoption("write")) is not None:
        write_into(page, mark, text)
    if (file := config.getoption("json")) is not None:
        file.write_text(json.dumps([one.as_json() for one in results], indent=2) + "\n")


def _results(reports: Iterable[Any]) -> list[DrillResult]:
    """Return the results in the reports of tests, which may come from other processes."""
    return [
        _RESULT.validate_python(value)
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == _PROPERTY
    ]
