"""The memory of the machine and of processes, and the number of their heaps."""

import ctypes
import os
from collections.abc import Iterator, Sequence
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
_PROPORTIONAL: Final = b"Pss:"  # man proc_pid_smaps
_KIBIBYTE: Final = 1024


def total_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the memory of the machine, or of the container if that is given less."""
    limits = [_PAGE_BYTES * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMIT_FILES:
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limits.append(int((cgroup / name).read_text()))
    return min(limits)


def resident_bytes(pid: int) -> int:
    """Return what a process and its descendants hold in memory: Linux only, elsewhere 0.

    Shared pages count for each of them.
    """
    return _own_resident_bytes(pid) + sum(map(_own_resident_bytes, descendants_of(pid)))


def held_bytes(pids: Sequence[int], *, enough: int) -> int:
    """Return what some processes hold in memory: Linux only, elsewhere 0.

    Args:
        pids: The processes.
        enough: Above this size, shared pages (as forked processes have) are counted once. That
            takes the kernel some milliseconds per GiB.
    """
    resident = sum(map(_own_resident_bytes, pids))
    if resident <= enough or len(pids) == 1:
        return resident
    return sum(map(_proportional_bytes, pids))


def descendants_of(pid: int) -> list[int]:
    """Return the children of a process, and theirs: Linux only, elsewhere none."""
    return [one for child in _children(pid) for one in (child, *descendants_of(child))]


def _own_resident_bytes(pid: int) -> int:
    with suppress(OSError):  # it has just ended
        return int(_read(f"/proc/{pid}/statm").split()[_RESIDENT]) * _PAGE_BYTES
    return 0


def _proportional_bytes(pid: int) -> int:
    """Return what a process holds, with its share of shared pages only."""
    with suppress(OSError):
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith(_PROPORTIONAL):
                return int(line.split()[1]) * _KIBIBYTE
    return _own_resident_bytes(pid)


def share_one_heap() -> None:
    """Make the threads of this process share one heap.

    By default glibc gives each thread its own heap, which keeps most of the memory of that thread's
    largest task. Python's threads take turns anyway.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def _children(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (see _read)
            with suppress(OSError):  # the thread has just ended
                yield from map(int, _read(f"/proc/{pid}/task/{thread}/children").split())


def _read(path: str) -> bytes:
    """Read a small file as cheaply as possible: every engine is measured 20 times a second."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, _ENOUGH_BYTES)
    finally:
        os.close(file)
