"""Processes that outlived their supervisor, found by their recorded ids and start times."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from standalone.launch import RECORD
from standalone.processes import Recorded
from standalone.supervisord import SUPERVISOR

_END_WITHIN_S: Final = 10.0
_END_IN_ORDER_WITHIN_S: Final = 60.0
_PAUSE_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Leftover:
    """A program with living processes, and their ids."""

    name: str
    pids: tuple[int, ...]


def find_leftovers(run_dir: Path) -> list[Leftover]:
    """Return the living programs recorded in *run_dir*; only while no supervisor runs."""
    found = []
    for file in sorted(run_dir.glob(f"*{RECORD}")):
        recorded = Recorded.read(file)
        if recorded is not None and (pids := recorded.group()):
            found.append(Leftover(file.name.removesuffix(RECORD), tuple(sorted(pids))))
    # The supervisor first: it would restart the others.
    return sorted(found, key=lambda one: one.name != SUPERVISOR)


def describe(leftovers: Sequence[Leftover]) -> str:
    """Name programs and process ids in one line."""
    return ", ".join(f"{one.name} ({', '.join(map(str, one.pids))})" for one in leftovers)


def end_leftovers(run_dir: Path) -> list[Leftover]:
    """End what outlived its supervisor, by force if necessary; return what it was."""
    first = left = find_leftovers(run_dir)
    # A supervisor that lost its lock file ends the others itself, in their order.
    supervisor = [one for one in left if one.name == SUPERVISOR]
    _signal(supervisor or left, signal.SIGTERM)
    deadline_s = time.monotonic() + (_END_IN_ORDER_WITHIN_S if supervisor else _END_WITHIN_S)
    while left and time.monotonic() < deadline_s:
        time.sleep(_PAUSE_S)
        left = find_leftovers(run_dir)
    while left:
        _signal(left, signal.SIGKILL)
        time.sleep(_PAUSE_S)
        left = find_leftovers(run_dir)
    return first


def _signal(leftovers: Sequence[Leftover], number: int) -> None:
    for pid in [pid for one in leftovers for pid in one.pids]:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)  # a frozen process handles no signal
