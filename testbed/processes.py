"""What tests ask about processes and do to them."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from testbed.waiting import wait_for


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of *pid*, the oldest first."""
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(pid).children()
        return [child.pid for child in sorted(children, key=psutil.Process.create_time)]
    return []


def engines_of(consumer: int) -> list[int]:
    """Return the process ids of a consumer's engines: one, or none while it is replaced."""
    guards = [child for child in children_of(consumer) if _is_guard(child)]
    # The first child of a guard is its engine; others may have lost their parents.
    return [engine for guard in guards for engine in children_of(guard)[:1]]


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, even if its parent has not waited for it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until_gone(pids: Iterable[int]) -> None:
    """Wait until all of *pids* have ended; there must be at least one."""
    ending = list(pids)
    assert ending
    wait_for(lambda: all(map(is_gone, ending)), what=f"the end of {ending}")


def stand_still(pid: int) -> None:
    """Stop a process (SIGSTOP), and wait until it is stopped or has ended.

    On a busy machine its threads go on for a while after the signal was sent.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _stands_still(pid), what=f"process {pid} stands still")


def _stands_still(pid: int) -> bool:
    states = []
    with suppress(OSError):  # it has ended
        # psutil knows the state of the first thread alone.
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # this thread has
                states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return all(state in "TZX" for state in states)


def _is_guard(pid: int) -> bool:
    # The other child is multiprocessing's resource tracker.
    with suppress(psutil.NoSuchProcess):
        return any("spawn_main" in word for word in psutil.Process(pid).cmdline())
    return False
