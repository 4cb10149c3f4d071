"""The real system, started by the command that a user types."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from standalone.readiness import listens
from testbed.ports import free_ports
from testbed.processes import stand_still, wait_until_gone
from testbed.waiting import wait_for
from tests.conftest import WEIGHTS_DIR

ROOT: Final = Path(__file__).parents[2]
_START: Final = str(ROOT / "start.sh")
PATIENCE_S: Final = 150
_PORTS_OF_A_SYSTEM: Final = 7
# HTTP, epmd, AMQP, RabbitMQ's management, MongoDB: where services of the machine listen.
_PORTS_OF_THE_MACHINE: Final = (80, 4369, 5672, 15_672, 25_672, 27_017)

_ON_A_TERMINAL: Final = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
"""


class Darkroom:
    """A system with its own state and ports, known only by what ./start.sh prints."""

    def __init__(self, state_dir: Path, **settings: str) -> None:
        self.port = free_ports(_PORTS_OF_A_SYSTEM)
        self.url = f"http://127.0.0.1:{self.port}"
        self.state_dir = state_dir
        # Whoever runs the tests may have settings of their own.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DARKROOM_")}
        self.environment = {
            **inherited,
            WEIGHTS_DIR: os.environ[WEIGHTS_DIR],
            "DARKROOM_STATE_DIR": str(state_dir),
            "DARKROOM_PORT": str(self.port),
            "DARKROOM_CONSUMERS": "2",
            # It starts in the shortest time.
            "DARKROOM_MODELS": "digits",
            **settings,
        }
        self.greeting = ""
        self.machine_ports_before = ports_of_the_machine()

    def start(self) -> None:
        """Start it in the background."""
        started = self.run("-d")
        assert started.returncode == 0, started.stdout + started.stderr
        self.greeting = started.stdout

    def in_foreground(self) -> "subprocess.Popen[bytes]":
        """Start it in the foreground."""
        return subprocess.Popen(  # noqa: S603 (our own command)
            [_START, "--foreground"], env=self.environment, cwd=ROOT, stdout=subprocess.DEVNULL
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``./start.sh`` *arguments* without a terminal."""
        return subprocess.run(  # noqa: S603 (our own command)
            [_START, *arguments],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def greeting_line(self, beginning: str) -> str:
        """Return the line of the greeting that begins with that."""
        [line, *_] = [
            line.strip()
            for line in self.greeting.splitlines()
            if line.strip().startswith(beginning)
        ]
        return line

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return status

    def pids(self, role: str) -> list[int]:
        pids: list[int] = self.status()["roles"].get(role, [])
        return pids

    @contextmanager
    def paused(self, role: str) -> Iterator[None]:
        """Freeze the processes of *role* until the end of the block."""
        pids = self.pids(role)
        for pid in pids:
            stand_still(pid)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def wait_for_log(self, role: str, text: str) -> None:
        """Wait until the log of *role* contains *text*."""
        logs = sorted((self.state_dir / "log").glob(f"{role}*.log"))
        wait_for(
            lambda: any(text in log.read_text(errors="replace") for log in logs),
            within_s=PATIENCE_S,
            what=f"{text!r} is in the log of {role}",
        )

    def processes(self) -> set[int]:
        """Return all processes of the system and their descendants."""
        supervisor = self.status().get("supervisor")
        if not supervisor:
            return set()
        below = psutil.Process(supervisor).children(recursive=True)
        return {supervisor, *(process.pid for process in below)}

    def assert_gone(self, processes: set[int]) -> None:
        """Assert that *processes* have ended and that all ports are free."""
        wait_until_gone(processes)
        taken = [port for port in range(self.port, self.port + _PORTS_OF_A_SYSTEM) if listens(port)]
        assert taken == []


class Terminal:
    """``./start.sh`` as a user runs it in a terminal."""

    def __init__(self, system: Darkroom, screen: Path) -> None:
        self._screen = screen
        with screen.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                [sys.executable, "-c", _ON_A_TERMINAL, _START],
                env=system.environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=output,
            )

    def wait_for(self, text: str) -> None:
        wait_for(
            lambda: text in self._screen.read_text(),
            within_s=PATIENCE_S,
            what=f"{text!r} is on the screen",
        )

    def press_ctrl_c(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"\x03")
        self._process.stdin.flush()

    def wait_for_the_end(self) -> int:
        """Return the exit status."""
        try:
            return self._process.wait(PATIENCE_S)
        finally:
            self._process.communicate()


@pytest.fixture(scope="session")
def darkroom(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    """One running system for all tests that do not change it."""
    system = Darkroom(tmp_path_factory.mktemp("state"))
    system.start()
    yield system
    processes = system.processes()
    stopped = system.run("stop")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    system.assert_gone(processes)


@pytest.fixture
def stopped_darkroom(tmp_path: Path) -> Iterator[Darkroom]:
    """A system that is not running yet, and that ends with the test."""
    system = Darkroom(tmp_path / "state", DARKROOM_CONSUMERS="1")
    yield system
    system.run("stop")


def ports_of_the_machine() -> list[int]:
    """Return the standard service ports of this machine that are in use."""
    return [port for port in _PORTS_OF_THE_MACHINE if listens(port)]
