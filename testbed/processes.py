"""What tests ask about processes, and do to them."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from testbed.waiting import wait_for


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of *pid*."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # this thread has just ended
            children += map(int, (task / "children").read_text().split())
    return children


def engines_of(consumer: int) -> list[int]:
    """Return the process ids of a consumer's engines: one, or none while it is replaced."""
    guards = [child for child in children_of(consumer) if _is_guard(child)]
    # The first child of a guard is its engine; others may have lost their parents.
    return [engine for guard in guards for engine in children_of(guard)[:1]]


def stand_still(pid: int) -> None:
    """Stop a process (SIGSTOP), and wait until it stands still, unless it ends first.

    On a busy machine its threads go on for a while after the signal was sent.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _stands_still(pid), what=f"process {pid} stands still")


def _stands_still(pid: int) -> bool:
    states = []
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # this thread has
                states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return all(state in "TZX" for state in states)


def _is_guard(pid: int) -> bool:
    # The other child is multiprocessing's resource tracker.
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
