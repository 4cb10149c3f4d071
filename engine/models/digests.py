"""SHA-256 of files, which may be large: read in pieces, and only once while they do not change."""

import hashlib
import os
import time
from pathlib import Path
from typing import Final

_DIGITS: Final = 16
_SECOND_NS: Final = 10**9
# Within these a file may change twice and show one time: file systems know whole seconds, or the
# ticks of the kernel. https://git-scm.com/docs/racy-git
COARSE_NS: Final = 2 * _SECOND_NS
FINE_NS: Final = _SECOND_NS // 10

_Stamp = tuple[int, ...]
_known: dict[_Stamp, str] = {}


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of *file*, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as opened:
        status = os.fstat(opened.fileno())
        stamp = _stamp(status)
        if stamp in _known:
            return _known[stamp]
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if _has_settled(status) and _stamp(os.fstat(opened.fileno())) == stamp:
            _known[stamp] = digest
    return digest


def version_of(hexadecimal: str) -> str:
    """Turn a SHA-256 into the version of a model."""
    return f"sha256:{hexadecimal[:_DIGITS]}"


def _stamp(status: os.stat_result) -> _Stamp:
    # Unlike the time of modification, the time of status change cannot be set back.
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, status.st_size, *times)


def _has_settled(status: os.stat_result) -> bool:
    is_coarse = status.st_ctime_ns % _SECOND_NS == 0
    return time.time_ns() - status.st_ctime_ns > (COARSE_NS if is_coarse else FINE_NS)
