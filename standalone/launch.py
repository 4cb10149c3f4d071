"""Run one of the programs: the supervisor's command for each of them.

Command and environment come from a file, so that no path or password depends on the quoting rules
of the supervisor's configuration. It uses the standard library only, since it runs at every start
of every program.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from standalone.processes import Recorded

PROGRAMS_FILE: Final = "programs.json"
RUN_DIR: Final = "DARKROOM_RUN_DIR"
RECORD: Final = ".process"
# A program that starts on a full disk dies again and again, until the supervisor gives up.
ENOUGH_TO_START_BYTES: Final = 16 * 1024**2

_LOOK_AGAIN_S: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main(name: str, run_dir: Path) -> None:
    program = json.loads((run_dir / PROGRAMS_FILE).read_text())[name]
    os.umask(0o077)  # what it writes is for its owner alone
    _end_the_rest_of_the_last_run(run_dir / f"{name}{RECORD}")
    _end_with_the_supervisor()
    _wait_for_space(name, Path(program.get("writes_to") or run_dir))
    os.chdir(program["directory"])
    command = program["command"]
    os.execvpe(command[0], command, os.environ | program["environment"])  # noqa: S606 (no shell wanted)


def _end_the_rest_of_the_last_run(record: Path) -> None:
    """Kill what is left of the process group of the process that ran before this one.

    nginx's workers outlive a killed master, and keep its port.
    """
    last = Recorded.read(record)
    # Processes of another session were started by another supervisor.
    if last is not None and last.session == os.getsid(0) and last.group():
        with suppress(OSError):
            os.killpg(last.pid, signal.SIGKILL)
    with suppress(OSError):  # the disk may be full; the program also runs without a record
        Recorded.this().write(record)


def _end_with_the_supervisor() -> None:
    """Have Linux stop this process if the supervisor is killed; other systems cannot."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_for_space(name: str, folder: Path) -> None:
    """Wait until the disk of *folder* has space for a start."""
    has_waited = False
    while shutil.disk_usage(folder).free < ENOUGH_TO_START_BYTES:
        if not has_waited:
            print(f"{name} is waiting: the disk of {folder} is full", flush=True)  # noqa: T201 (the log)
        has_waited = True
        time.sleep(_LOOK_AGAIN_S)


if __name__ == "__main__":
    main(sys.argv[1], Path(os.environ[RUN_DIR]))
