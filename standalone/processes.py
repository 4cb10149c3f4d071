"""Identify processes: an id with a start time is never used twice.

It uses the standard library only: standalone/launch.py runs it at every start of every program.
"""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PROC: Final = Path("/proc")
_BOOT_ID: Final = _PROC / "sys/kernel/random/boot_id"
# Of the fields behind the command in /proc/PID/stat (proc(5)).
_STATE: Final = 0
_START_TICKS: Final = 19
# Always the same length: overwriting a file in place needs no space on a disk that is full.
_RECORD_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded process: its id, its session and its start time."""

    pid: int
    session: int
    started: str

    @classmethod
    def this(cls) -> Self:
        """Describe the calling process."""
        return cls(os.getpid(), os.getsid(0), started(os.getpid()) or "")

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Return the record in *file*; None if it has none."""
        with suppress(OSError, ValueError):
            pid, session, start = file.read_text().split()
            return cls(int(pid), int(session), start)
        return None

    def write(self, file: Path) -> None:
        record = f"{self.pid} {self.session} {self.started}".ljust(_RECORD_BYTES)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(handle, record.encode())
        finally:
            os.close(handle)

    @property
    def is_alive(self) -> bool:
        return bool(self.started) and started(self.pid) == self.started

    def group(self) -> list[int]:
        """Return the living processes of its process group.

        While one of them lives, the system gives the number of their group to nobody else, nor
        that of their session, which is the supervisor's.
        """
        if not (self.is_alive or self._is_of_this_boot()):
            return []
        return [pid for pid in all_pids() if self._owns(pid)]

    def _owns(self, pid: int) -> bool:
        with suppress(OSError):
            in_group = os.getpgid(pid) == self.pid and os.getsid(pid) == self.session
            return in_group and started(pid) is not None
        return False

    def _is_of_this_boot(self) -> bool:
        # A group with the same id and another leader belongs to others.
        return self.started.startswith(_boot()) and started(self.pid) is None


def started(pid: int) -> str | None:
    """Return the start time of process *pid*, for comparison; None if it is dead."""
    if not _PROC.is_dir():
        return _started_as_ps_says(pid)
    with suppress(OSError):
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[_STATE] in "ZX" else f"{_boot()}/{fields[_START_TICKS]}"
    return None


def all_pids() -> list[int]:
    """Return the ids of all processes."""
    if _PROC.is_dir():
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    return [int(pid) for pid in _ps("-A", "-o", "pid=").split()]


def _boot() -> str:
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


def _started_as_ps_says(pid: int) -> str | None:
    return "-".join(_ps("-o", "lstart=", "-p", str(pid)).split()) or None


def _ps(*options: str) -> str:
    return subprocess.run(["ps", *options], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607 (POSIX)
