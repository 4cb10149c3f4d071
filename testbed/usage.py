"""Processor time and memory by role, from the processes' own counters."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import psutil

from common.memory import MEBIBYTE

ENGINE: Final = "engine"
_COUNTERS: Final = ("ppid", "cpu_times", "memory_info", "cmdline")


class Usage(NamedTuple):
    """What the processes of a role have used."""

    cpu_s: float = 0.0  # their own, and that of their children which have ended
    resident_mb: float = 0.0
    largest_mb: float = 0.0
    processes: int = 0

    def and_of(self, process: psutil.Process) -> "Usage":
        own_mb = process.info["memory_info"].rss / MEBIBYTE
        return Usage(
            self.cpu_s + sum(process.info["cpu_times"][:4]),
            self.resident_mb + own_mb,
            max(self.largest_mb, own_mb),
            self.processes + 1,
        )


def by_role(roots: Mapping[str, Sequence[int]]) -> dict[str, Usage]:
    """Sum up the processes of each role: those given, and all their descendants.

    The engines of consumers are a role of their own.
    """
    processes = {process.pid: process for process in psutil.process_iter(_COUNTERS)}
    children = defaultdict(list)
    for pid, process in processes.items():
        children[process.info["ppid"]].append(pid)
    found: dict[str, Usage] = {}
    pending = [(role, pid) for role, pids in roots.items() for pid in pids if pid in processes]
    while pending:
        role, pid = pending.pop()
        found[role] = found.get(role, Usage()).and_of(processes[pid])
        # The process between a consumer and an engine is started by multiprocessing.
        command = processes[pid].info["cmdline"] or ()
        if role == "consumer" and any("spawn_main" in word for word in command):
            role = ENGINE
        pending += [(role, child) for child in children[pid]]
    return found


def cpu_between(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Return the processor seconds of each role between two readings."""
    return {role: used.cpu_s - before.get(role, Usage()).cpu_s for role, used in after.items()}
