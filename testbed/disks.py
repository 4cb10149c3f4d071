"""Small disks in memory that a test can fill. They vanish with the last process that sees them.

They are mounted in a namespace of mounts that belongs to this process and those that it
starts: whatever ends these, nothing stays mounted.
"""

import ctypes
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_CLONE_NEWNS: Final = 0x00020000  # https://man7.org/linux/man-pages/man2/unshare.2.html
_CHUNK: Final = b"x" * 65_536
_MIB: Final = 1024**2


class NoMountsError(Exception):
    """No disks can be mounted here: not Linux, or not root."""


def see_mounts_alone() -> None:
    """Let only the calling thread, and what it starts, see what is mounted from now on.

    Raises:
        NoMountsError: This machine, or this user, cannot.
    """
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None:
        raise NoMountsError("not on Linux")
    if unshare(_CLONE_NEWNS) != 0:
        raise NoMountsError(os.strerror(ctypes.get_errno()))
    _run("mount", "--make-rprivate", "/")


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A disk that is mounted at *folder*."""

    folder: Path

    @classmethod
    def mounted_at(cls, folder: Path, *, mib: int) -> Self:
        """Mount a new disk; call :func:`see_mounts_alone` first."""
        folder.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", str(folder))
        return cls(folder)

    def unmount(self) -> None:
        _run("umount", "-l", str(self.folder))

    def fill(self, *, leaving_mib: int = 0) -> None:
        """Write a large file that leaves only that much space."""
        with self._filler.open("ab", buffering=0) as file:
            free = shutil.disk_usage(self.folder).free - leaving_mib * _MIB
            if leaving_mib and free > 0:
                os.posix_fallocate(file.fileno(), 0, file.tell() + free)
            elif not leaving_mib:
                _write_until_full(file.fileno())

    def empty(self) -> None:
        """Delete that file."""
        self._filler.unlink(missing_ok=True)

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


def _write_until_full(handle: int) -> None:
    for size in (len(_CHUNK), 4096, 1):
        try:
            while os.write(handle, _CHUNK[:size]) == size:
                pass
        except OSError:  # no space left for a piece of this size
            continue


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own command)
    if done.returncode != 0:
        raise NoMountsError(f"{' '.join(command)}: {done.stderr.strip()}")
