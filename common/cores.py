"""The number of cores that this process may use."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

# https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files and, below cpu/,
# https://docs.kernel.org/scheduler/sched-bwc.html
_UNIFIED: Final = ""
_CPU: Final = "cpu"


def available_cores(
    cgroups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Return the cores of the machine, or of the container if it is given fewer; at least 1.

    A fraction of a core does not count: with more threads than cores, threads wait for each other.
    """
    shares = [_cores_of_the_machine(), *_limits(cgroups, own)]
    return max(1, int(min(shares)))


def _cores_of_the_machine() -> float:
    if hasattr(os, "sched_getaffinity"):  # Linux, where a process may be held to some
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limits(cgroups: Path, own: Path) -> Iterator[float]:
    """Find the limit of each control group that holds this process, in cores."""
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            for folder in (PurePosixPath(group), *PurePosixPath(group).parents):
                below = str(folder).lstrip("/")
                with suppress(OSError, ValueError, ZeroDivisionError):  # none, or "max"
                    if controllers == _UNIFIED:
                        quota, period = (cgroups / below / "cpu.max").read_text().split()
                        yield int(quota) / int(period)
                    elif _CPU in controllers.split(","):
                        yield _version_1(cgroups / _CPU / below)


def _version_1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    if quota < 0:
        raise ValueError("no limit")
    return quota / int((folder / "cpu.cfs_period_us").read_text())
