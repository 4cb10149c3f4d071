"""How much memory there is, and how much a process takes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.memory import MEBIBYTE, resident_bytes, total_bytes
from testbed.waiting import wait_for

HOLD = "held = b'x' * 200 * 1024**2; print(flush=True); input()"


def test_the_memory_is_that_of_the_machine_where_nothing_limits_it(tmp_path: Path) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (tmp_path / "memory.max").write_text("max\n")

    assert total_bytes(tmp_path) == machine


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_the_memory_is_that_of_the_container_where_there_is_one(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("1048576\n")

    assert total_bytes(tmp_path) == MEBIBYTE


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_what_a_process_holds_includes_what_its_children_hold() -> None:
    before = resident_bytes(os.getpid())

    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE) as child:  # noqa: S603
        wait_for(lambda: resident_bytes(child.pid) > 200 * MEBIBYTE)
        held = resident_bytes(os.getpid())
        child.communicate(b"\n")

    assert held - before > 190 * MEBIBYTE


def test_a_process_that_has_ended_holds_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert resident_bytes(child.pid) == 0
