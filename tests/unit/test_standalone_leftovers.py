"""Processes that outlived their supervisor are found by their record, and by nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from standalone.leftovers import Leftover, describe, end_leftovers, find_leftovers
from standalone.processes import Recorded, started
from testbed.processes import stand_still

_SLEEP: Final = "import time; time.sleep(600)"
# Its leader forks and ends, like the master of a killed nginx.
_ORPHAN: Final = f"import os\nif os.fork(): os._exit(0)\nos.close(1)\n{_SLEEP}"

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code in a process group of its own, to be ended with the test."""
    with ExitStack() as undo:

        def run(code: str) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen(  # noqa: S603 (our own code)
                [sys.executable, "-c", code], process_group=0, stdout=subprocess.PIPE
            )
            undo.enter_context(process)
            undo.callback(process.kill)
            return process

        yield run


def record(process: "subprocess.Popen[bytes]") -> Recorded:
    return Recorded(process.pid, os.getsid(process.pid), started(process.pid) or "")


def test_a_living_process_is_found_by_its_record(tmp_path: Path, start: Start) -> None:
    api = start(_SLEEP)
    record(api).write(tmp_path / "api.process")

    assert find_leftovers(tmp_path) == [Leftover("api", (api.pid,))]


def test_another_process_of_the_same_number_is_not_taken_for_it(
    tmp_path: Path, start: Start
) -> None:
    replace(record(start(_SLEEP)), started="then").write(tmp_path / "api.process")

    assert find_leftovers(tmp_path) == []


def test_what_is_left_of_a_group_without_its_leader_is_found_and_ended(
    tmp_path: Path, start: Start
) -> None:
    nginx = start(_ORPHAN)
    record(nginx).write(tmp_path / "nginx.process")
    assert nginx.stdout is not None
    nginx.stdout.read()  # until the leader has ended and its child runs alone
    nginx.wait()

    [ended] = end_leftovers(tmp_path)

    assert ended.name == "nginx"
    assert ended.pids != (nginx.pid,)
    assert find_leftovers(tmp_path) == []


def test_one_that_stands_still_is_ended_too(tmp_path: Path, start: Start) -> None:
    api = start(_SLEEP)
    record(api).write(tmp_path / "api.process")
    stand_still(api.pid)

    assert end_leftovers(tmp_path) == [Leftover("api", (api.pid,))]
    assert api.wait(timeout=60) < 0


def test_one_that_ignores_the_request_is_killed(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standalone.leftovers._END_WITHIN_S", 0.0)
    api = start(f"import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); {_SLEEP}")
    assert api.stdout is not None
    api.stdout.readline()
    record(api).write(tmp_path / "api.process")

    end_leftovers(tmp_path)

    assert api.wait(timeout=60) == -9


def test_a_supervisor_comes_first_for_it_would_start_the_others_again(
    tmp_path: Path, start: Start
) -> None:
    for name in ("api", "supervisor"):
        record(start(_SLEEP)).write(tmp_path / f"{name}.process")

    assert [one.name for one in find_leftovers(tmp_path)] == ["supervisor", "api"]


@pytest.mark.parametrize("damaged", ["", "7", "a b c", "\0\0", "1 2 3 4"])
def test_a_damaged_record_names_nothing(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "api.process").write_text(damaged)

    assert find_leftovers(tmp_path) == []


def test_a_record_is_overwritten_in_place(tmp_path: Path, start: Start) -> None:
    file = tmp_path / "api.process"
    record(start(_SLEEP)).write(file)
    before = file.stat()

    Recorded(1, 1, "x").write(file)

    assert Recorded.read(file) == Recorded(1, 1, "x")
    assert (file.stat().st_ino, file.stat().st_size) == (before.st_ino, before.st_size)


def test_leftovers_are_named_with_their_numbers() -> None:
    assert describe([Leftover("api", (7, 8)), Leftover("nginx", (9,))]) == "api (7, 8), nginx (9)"
