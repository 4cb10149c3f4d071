"""Processor time and memory by role, from the processes' own counters (Linux)."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ENGINE: Final = "engine"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_MEBIBYTE: Final = 1024**2

# After the name, in man proc_pid_stat: parent; utime, stime, cutime, cstime; resident pages.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)
_RESIDENT: Final = 21


@dataclass(frozen=True, slots=True)
class Process:
    """One process, at one time."""

    pid: int
    parent: int
    cpu_s: float  # its own, and that of the children which have ended
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a role have taken."""

    cpu_s: float = 0.0
    resident_mb: float = 0.0
    largest_mb: float = 0.0
    processes: int = 0

    def and_of(self, process: Process) -> "Usage":
        own_mb = process.resident_bytes / _MEBIBYTE
        return Usage(
            self.cpu_s + process.cpu_s,
            self.resident_mb + own_mb,
            max(self.largest_mb, own_mb),
            self.processes + 1,
        )


def usage(roots: Mapping[str, Sequence[int]]) -> dict[str, Usage]:
    """Sum up the processes of each role: those named, and all their descendants.

    The engines of consumers are a role of their own.
    """
    processes = {process.pid: process for process in _processes()}
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: dict[str, Usage] = {}
    pending = [(role, pid) for role, pids in roots.items() for pid in pids]
    while pending:
        role, pid = pending.pop()
        if pid not in processes:
            continue
        found[role] = found.get(role, Usage()).and_of(processes[pid])
        role = ENGINE if role == "consumer" and _is_guard(pid) else role
        pending += [(role, child) for child in children.get(pid, [])]
    return found


def cpu_between(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Return the seconds that each role computed between two looks."""
    return {role: used.cpu_s - before.get(role, Usage()).cpu_s for role, used in after.items()}


def _processes() -> Iterator[Process]:
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):  # it has just ended
                yield parse(int(place.name), (place / "stat").read_text())


def parse(pid: int, stat: str) -> Process:
    """Read ``/proc/PID/stat``, in which the name may contain anything."""
    fields = stat.rpartition(")")[2].split()
    return Process(
        pid,
        int(fields[_PARENT]),
        sum(map(int, fields[_TIMES])) / _TICKS_A_SECOND,
        int(fields[_RESIDENT]) * _PAGE_BYTES,
    )


def _is_guard(pid: int) -> bool:
    """Tell whether it is the process between a consumer and an engine."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
