"""supervisord: it starts the programs, restarts those that die, and stops them.

Every path is relative to the state's folder, the working folder of both it and
:class:`Supervisor`: its configuration cannot quote every name of a folder.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from xmlrpc.client import Fault, ServerProxy

from standalone.configuration import configuration
from standalone.errors import CannotStartError
from standalone.files import write_private
from standalone.launch import PROGRAMS_FILE, RECORD, RUN_DIR
from standalone.leftovers import Leftover, end_leftovers, find_leftovers
from standalone.processes import Recorded
from standalone.programs import Program, Stage
from standalone.rpc import UnixTransport
from standalone.supervisord import SUPERVISOR

_ROOT: Final = Path(__file__).parent.parent
_SOCKET: Final = Path("run/supervisor.sock")
# supervisord makes the path absolute and, at first, adds its process id. macOS allows 103
# bytes, Linux 107.
_LONGEST_SOCKET_PATH: Final = 92
_RECORD_FILE: Final = Path("run", f"{SUPERVISOR}{RECORD}")
_LOCK_FILE: Final = "run/lock"
_CONFIGURATION_FILE: Final = "run/supervisord.conf"
_ANSWERS_WITHIN_S: Final = 15
_STOPS_WITHIN_S: Final = 180
_PAUSE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Process:
    """The state of a program, as the supervisor reports it."""

    name: str
    state: str
    pid: int  # 0 while there is no process

    @property
    def role(self) -> str:
        return self.name.split("-")[0]

    @property
    def is_failing(self) -> bool:
        return self.state in {"BACKOFF", "EXITED", "FATAL"}


class Supervisor:
    """The supervisor of the system with the state in *state_dir*, the working folder."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.is_ours = False  # whether this process started it
        self._rpc: Any = ServerProxy(
            "http://supervisor", transport=UnixTransport(_SOCKET)
        ).supervisor

    def launch(self, programs: Sequence[Program]) -> None:
        """Start the supervisor with *programs*, none of which is started yet.

        Raises:
            CannotStartError: One is running here already, or it does not answer.
        """
        for folder in ("run", "log"):
            (self._state_dir / folder).mkdir(parents=True, exist_ok=True)
        with Path(_LOCK_FILE).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                raise CannotStartError(
                    "another ./start.sh is running in this folder; wait until it ends"
                ) from exc
            self.is_ours = True
            self._forget_the_last_run()
            self._write_configuration(programs)
            # It inherits the lock, which is released when it ends, however it ends.
            self._spawn(lock.fileno())
        self._wait_for_an_answer()

    def start(self, stage: Stage) -> None:
        """Start the programs of *stage*, without waiting for them."""
        self._rpc.startProcessGroup(stage.name.lower(), False)

    def processes(self) -> list[Process]:
        """List the programs; none if nothing runs here."""
        try:
            found = self._rpc.getAllProcessInfo()
        except (OSError, HTTPException, Fault):
            return []
        return [Process(one["name"], one["statename"], one["pid"]) for one in found]

    def is_running(self) -> bool:
        """Return whether a supervisor holds the lock."""
        try:
            with Path(_LOCK_FILE).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def uptime_s(self) -> float | None:
        """Return how long the supervisor has run, if it runs and has written its record."""
        with suppress(OSError):
            started_s = _RECORD_FILE.stat().st_mtime
            return None if self.pid() is None else max(0.0, time.time() - started_s)
        return None

    def pid(self) -> int | None:
        """Return the supervisor's process id, if it runs and can be found."""
        if not self.is_running():
            return None
        recorded = Recorded.read(_RECORD_FILE)
        if recorded is not None and recorded.is_alive:
            return recorded.pid
        with suppress(OSError, HTTPException, Fault):  # somebody damaged the file
            return int(self._rpc.getPID())
        return None

    def stop(self) -> None:
        """End the supervisor, which first ends the programs, last stage first.

        It kills programs that do not end in time; a supervisor that is stuck is killed.

        Raises:
            CannotStartError: It cannot be found, though its lock is held.
        """
        deadline = time.monotonic() + _STOPS_WITHIN_S
        unseen_until = time.monotonic() + _ANSWERS_WITHIN_S
        asked = None
        while self.is_running():
            pid = self.pid()
            if pid is None and asked is None and time.monotonic() > unseen_until:
                raise CannotStartError(
                    f"an unknown process holds {self._state_dir / _LOCK_FILE}: "
                    "find it with fuser or lsof, and stop it"
                )
            if pid is not None and time.monotonic() > deadline:
                _signal(pid, signal.SIGKILL)
            elif pid is not None and pid != asked:
                _signal(pid, signal.SIGTERM)
                asked = pid
            # The call also wakes it: otherwise it checks its programs once a second.
            self.processes()
            time.sleep(_PAUSE_S)
        self._remove_socket()

    def leftovers(self) -> list[Leftover]:
        """List what outlived its supervisor; nothing while one runs."""
        return [] if self.is_running() else find_leftovers(Path("run"))

    def end_leftovers(self) -> list[Leftover]:
        """End what outlived its supervisor; return what that was."""
        return [] if self.is_running() else end_leftovers(Path("run"))

    def _forget_the_last_run(self) -> None:
        """Remove recorded process ids: after a reboot, or in a new container, others have them."""
        for pattern in ("*.pid", f"*{RECORD}"):
            for file in Path("run").glob(pattern):
                file.unlink()

    def _write_configuration(self, programs: Sequence[Program]) -> None:
        commands = {
            program.name: {
                "command": program.command,
                "environment": dict(program.environment),
                "directory": str(_ROOT),
                "writes_to": program.writes_to and str(program.writes_to),
            }
            for program in programs
        }
        write_private(Path("run", PROGRAMS_FILE), json.dumps(commands))
        write_private(Path(_CONFIGURATION_FILE), configuration(programs, self._place_for_socket()))

    def _place_for_socket(self) -> Path:
        """Return the path of the socket: elsewhere, with a link here, if ours is too long."""
        self._remove_socket()
        if len(os.fsencode(self._state_dir / _SOCKET)) <= _LONGEST_SOCKET_PATH:
            return _SOCKET
        elsewhere = Path(tempfile.mkdtemp(prefix="darkroom-"), _SOCKET.name)
        _SOCKET.symlink_to(elsewhere)
        return elsewhere

    def _remove_socket(self) -> None:
        if _SOCKET.is_symlink():
            shutil.rmtree(_SOCKET.readlink().parent, ignore_errors=True)
        _SOCKET.unlink(missing_ok=True)

    def _spawn(self, lock_fd: int) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DARKROOM_ROOT": str(_ROOT),
            RUN_DIR: str(self._state_dir / "run"),
            "PYTHONUNBUFFERED": "1",
        }
        with Path("log/supervisor.err").open("w") as errors:
            subprocess.Popen(  # noqa: S603 (every word is ours)
                [sys.executable, "-m", "standalone.supervisord", "-c", _CONFIGURATION_FILE],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                pass_fds=[lock_fd],
                start_new_session=True,  # Ctrl-C is for the waiting process alone
            )

    def _wait_for_an_answer(self) -> None:
        deadline = time.monotonic() + _ANSWERS_WITHIN_S
        while not self.processes():
            if time.monotonic() > deadline or not self.is_running():
                said = Path("log/supervisor.err").read_text().strip()
                raise CannotStartError(f"the supervisor did not start: {said}")
            time.sleep(_PAUSE_S)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)  # a frozen process handles no signal
