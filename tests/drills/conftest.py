"""Options of the drills, processes to run them in, and the table at the end."""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.drills import report
from tests.drills.all import DRILLS
from tests.drills.cases import Case, cases
from tests.drills.drill import DrillResult
from tests.drills.without import GUARANTEES

_LIMIT_S: Final = 430
_LONG_LIMIT_S: Final = 1800
_OUTCOMES: Final = pytest.StashKey[dict[Case, DrillResult]]()


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
    group.addoption("--at-once", type=int, default=3, help="how many drills run side by side")
    group.addoption(
        "--without", choices=list(GUARANTEES), nargs="+", metavar="GUARANTEE",
        help="take a guarantee away first, one at a time, and expect that a drill notices: "
        + ", ".join(GUARANTEES),
    )  # fmt: skip
    group.addoption("--json", type=Path, metavar="FILE", help="write all results there")
    group.addoption("--write", type=Path, metavar="PAGE", help="put the table into that page")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the tests that say nothing about what is asked for."""
    other = "test_drills.py" if config.getoption("without") else "test_without.py"
    return True if collection_path.name == other else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = cases(metafunc.config)
    at_once = metafunc.config.getoption("at_once")
    # One test may wait for all of them.
    limit_s = _LONG_LIMIT_S if metafunc.config.getoption("long") else _LIMIT_S
    in_time = pytest.mark.timeout(limit_s * -(-len(asked) // at_once))
    if "case" in metafunc.fixturenames:
        # The last take longest: started first, they do not run on alone at the end.
        every = [pytest.param(case, id=str(case), marks=in_time) for case in reversed(asked)]
        metafunc.parametrize("case", every)
    if "guarantee" in metafunc.fixturenames:
        taken = dict.fromkeys(case.without for case in asked)
        metafunc.parametrize("guarantee", [pytest.param(one, marks=in_time) for one in taken])


@pytest.fixture(scope="session")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Case, Future[DrillResult]]]:
    """Run every drill whose test was selected, several side by side."""
    config, folder = request.config, tmp_path_factory.mktemp("drills")
    run = partial(Case.run, short=not config.getoption("long"))
    # Spawned, so that a drill's threads, connections and mounts are its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.getoption("at_once"), context, max_tasks_per_child=1) as pool:
        selected = _selected(request.session)
        yield {case: pool.submit(run, case, folder / str(case)) for case in selected}
        pool.shutdown(cancel_futures=True)


def _selected(session: pytest.Session) -> list[Case]:
    """Return the cases of the tests that were selected, in the order of these tests."""
    wanted = [
        item.callspec.params
        for item in session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    return [
        case
        for case in reversed(cases(session.config))
        if {"case": case} in wanted or {"guarantee": case.without} in wanted
    ]


@pytest.fixture
def outcome_of(
    runs: Mapping[Case, Future[DrillResult]],
    capsys: pytest.CaptureFixture[str],
    pytestconfig: pytest.Config,
) -> Callable[[Case], DrillResult]:
    """Wait for the end of a run, and report it at once: others may take long."""

    def wait(case: Case) -> DrillResult:
        outcome = runs[case].result()
        pytestconfig.stash.setdefault(_OUTCOMES, {})[case] = outcome
        with capsys.disabled():
            print(f"\n{report.details(outcome)}")  # noqa: T201 (for whoever waits)
        return outcome

    return wait


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the table, and write what is asked for."""
    ended = config.stash.get(_OUTCOMES, {})
    outcomes = [ended[case] for case in cases(config) if case in ended]
    if not outcomes:
        return
    if config.getoption("without"):
        mark, text = report.WITHOUT_MARK, report.matrix(outcomes)
    else:
        mark, text = report.DRILLS_MARK, report.table(outcomes)
    terminalreporter.section("drills")
    terminalreporter.write_line(text)
    if (page := config.getoption("write")) is not None:
        report.write_into(page, mark, text)
    if (file := config.getoption("json")) is not None:
        file.write_text(json.dumps([one.as_json() for one in outcomes], indent=2) + "\n")
