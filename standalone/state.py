"""Check the folder of the state: it must be ours alone, intact, and have space."""

import errno
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from common.memory import MEBIBYTE
from standalone.errors import CannotStartError

# RabbitMQ and the store need a few MB each before they have done anything.
_ENOUGH_TO_START_MIB: Final = 64
_WRITTEN_TO: Final = ("run", "log", "store", "rabbitmq", "nginx")
_OURS: Final = {*_WRITTEN_TO, "weights"}
_CHECK_WITHIN_S: Final = 2.0
_STEPS_BETWEEN_LOOKS: Final = 10_000
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CHOOSE_ANOTHER: Final = "choose another folder with DARKROOM_STATE_DIR"

_WAYS_OUT: Final = {
    errno.ENOSPC: "free space on that disk, or " + _CHOOSE_ANOTHER,
    errno.EDQUOT: "free space in that quota, or " + _CHOOSE_ANOTHER,
    errno.EROFS: "mount it writable, or " + _CHOOSE_ANOTHER,
    errno.EACCES: "make the user who starts Darkroom its owner, or " + _CHOOSE_ANOTHER,
    errno.EPERM: "make the user who starts Darkroom its owner, or " + _CHOOSE_ANOTHER,
    errno.ENOTDIR: "a folder is needed here: move the file away",
    errno.EEXIST: "a folder is needed here: move the file away",
    errno.EISDIR: "a file is needed here: move the folder away",
}


def in_one_line(error: OSError) -> str:
    """Say which file is the problem, why, and what to do."""
    where = error.filename if error.filename2 is None else error.filename2
    way_out = _WAYS_OUT.get(error.errno or 0, _CHOOSE_ANOTHER)
    place = f"{Path(os.fsdecode(where)).absolute()}: " if where else ""
    return f"{place}{error.strerror or error}; {way_out}"


def prepare(folder: Path) -> None:
    """Prepare *folder* for a start: nobody else may read its contents.

    Raises:
        CannotStartError: It is damaged, full, or used by others.
        OSError: Something in it cannot be changed.
    """
    _refuse_shared(folder)
    _refuse_full(folder)
    make_private(folder)
    for name in (*_WRITTEN_TO, "store/databases"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
        _try_to_write(folder / name)
    _refuse_damaged((folder / "store" / "databases").glob("*.db"))


def make_private(folder: Path) -> None:
    """Remove all rights of others to *folder* and its contents.

    Files of other users stay as they are: they are in a folder of ours.
    """
    _restrict(folder)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # removed meanwhile
                _restrict(Path(parent, name))


def _restrict(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or not _may_change(found):
        return
    wanted = 0o700 if stat.S_ISDIR(found.st_mode) else 0o600
    if stat.S_IMODE(found.st_mode) != wanted:
        path.chmod(wanted)


def _may_change(found: os.stat_result) -> bool:
    return os.geteuid() in (0, found.st_uid)


def _refuse_shared(folder: Path) -> None:
    """Refuse a folder that others use, since they would lose their rights."""
    found = folder.stat()
    code = Path(__file__).parent.parent
    resolved = folder.resolve()
    is_open_to_all = found.st_mode & stat.S_ISVTX  # like /tmp, or a new tmpfs
    is_shared = (
        not _may_change(found)
        or (is_open_to_all and {entry.name for entry in folder.iterdir()} - _OURS)
        or resolved in (Path.home(), Path(resolved.anchor), code, *code.parents)
    )
    if is_shared:
        raise CannotStartError(
            f"{folder} is not reserved for Darkroom; set DARKROOM_STATE_DIR to a folder that is, "
            f"such as {folder / 'darkroom'}"
        )


def _refuse_full(folder: Path) -> None:
    free_mib = shutil.disk_usage(folder).free // MEBIBYTE
    if free_mib < _ENOUGH_TO_START_MIB:
        raise CannotStartError(
            f"the disk of {folder} is full: {free_mib} MiB are free, but a start needs "
            f"{_ENOUGH_TO_START_MIB} MiB; {_WAYS_OUT[errno.ENOSPC]}"
        )


def _try_to_write(folder: Path) -> None:
    probe = folder / ".writable"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as exc:
        exc.filename = str(folder)
        raise


def _refuse_damaged(databases: Iterable[Path]) -> None:
    for database in databases:
        if fault := _damage(database):
            raise CannotStartError(
                f"the store's file {database} is damaged ({fault}); restore it from a backup, or "
                "move it and its -wal and -shm files away to start with an empty store"
            )


def _damage(database: Path) -> str:
    """Return what is wrong with an SQLite database; empty if a quick check finds nothing."""
    deadline_s = time.monotonic() + _CHECK_WITHIN_S
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.set_progress_handler(
                lambda: time.monotonic() > deadline_s, _STEPS_BETWEEN_LOOKS
            )
            [said] = connection.execute("PRAGMA quick_check(1)").fetchone()
            return "" if said == "ok" else str(said).splitlines()[-1]
    except sqlite3.Error as exc:
        # Other errors, such as an interruption by the deadline, do not concern the file.
        return str(exc) if (exc.sqlite_errorcode & 0xFF) in _DAMAGED else ""
