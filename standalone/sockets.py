"""Paths for unix sockets: they must be short, in a folder of ours alone."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from standalone.errors import CannotStartError

# macOS allows 103 bytes, Linux 107.
_LONGEST_PATH: Final = 100


def socket_path(wanted: Path) -> Path:
    """Return *wanted*, or a shorter path for it, in a folder that only we may enter.

    Raises:
        CannotStartError: The folder for the shorter path belongs to another user.
    """
    if len(os.fsencode(wanted)) <= _LONGEST_PATH:
        folder, path = wanted.parent, wanted
    else:
        digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir(), f"darkroom-{os.geteuid()}-{digest}")
        path = folder / wanted.name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_foreign(folder)
    return path


def _refuse_foreign(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise CannotStartError(f"{folder} belongs to somebody else; remove it and start again")
    folder.chmod(0o700)
