"""How much memory there is, how much a process takes of it, and of how many heaps."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

MEBIBYTE: Final = 1024**2

# https://docs.kernel.org/admin-guide/cgroup-v2.html and, below memory/, cgroup-v1
_LIMIT_FILES: Final = ("memory.max", "memory/memory.limit_in_bytes")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_ENOUGH_BYTES: Final = 65_536
_RESIDENT: Final = 1  # the second number of statm: man proc_pid_statm
_ARENA_MAX: Final = -8  # https://man7.org/linux/man-pages/man3/mallopt.3.html


def total_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory of the machine, or of the container if that is given less."""
    limits = [_PAGE_BYTES * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMIT_FILES:
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limits.append(int((cgroup / name).read_text()))
    return min(limits)


def resident_bytes(pid: int) -> int:
    """Return what a process and its descendants hold in memory: Linux only, elsewhere 0.

    What they share counts for each of them.
    """
    resident = 0
    with suppress(OSError):  # it has just ended
        pages = _read(f"/proc/{pid}/statm").split()[_RESIDENT]
        resident = int(pages) * _PAGE_BYTES
    return resident + sum(map(resident_bytes, _children(pid)))


def share_one_heap() -> None:
    """Have the threads of this process take their memory from one heap.

    By default glibc gives each thread a heap of its own, which keeps most of what that thread's
    largest piece of work took. Python's threads take turns anyway.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (see _read)
            with suppress(OSError):  # the thread has just ended
                yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _read(path: str) -> bytes:
    """Read a small file as cheaply as possible: every engine is looked at 20 times a second."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _ENOUGH_BYTES)
    finally:
        os.close(file)
