"""Turn into one of the programs: what the supervisor calls for each of them.

Command and environment come from a file, so that no path or password has to survive
the quoting rules of the supervisor's configuration. Standard library only: it runs at
every start of every program.
"""

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

PROGRAMS_FILE: Final = "programs.json"
RUN_DIR: Final = "DARKROOM_RUN_DIR"

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main(name: str, run_dir: Path) -> None:
    program = json.loads((run_dir / PROGRAMS_FILE).read_text())[name]
    _end_the_rest_of_the_last_run(run_dir / f"{name}.pid")
    _end_with_the_supervisor()
    os.chdir(program["directory"])
    command = program["command"]
    os.execvpe(command[0], command, os.environ | program["environment"])  # noqa: S606 (no shell wanted)


def _end_the_rest_of_the_last_run(pid_file: Path) -> None:
    """Kill what is left of the process group of the process that ran before this one.

    nginx's workers outlive a master that is killed, and keep its port. While one of them
    lives, the system gives the number of their group to nobody else.
    """
    supervisor = os.getppid()
    with suppress(OSError, ValueError):
        pid, its_supervisor = map(int, pid_file.read_text().split())
        if its_supervisor == supervisor:
            os.killpg(pid, signal.SIGKILL)
    pid_file.write_text(f"{os.getpid()} {supervisor}")


def _end_with_the_supervisor() -> None:
    """Ask Linux to stop this process if the supervisor is killed; other systems cannot."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1], Path(os.environ[RUN_DIR]))
