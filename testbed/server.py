"""Servers and roles as processes that a test may stop, freeze, kill and start again."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from standalone.programs import Program
from testbed.processes import children_of, stand_still

_LOOK_AGAIN_S: Final = 0.05
# A machine that runs several systems at once needs longer than a program's own limit.
_PATIENCE: Final = 3


class Server:
    """One program that a test can run repeatedly.

    Args:
        program: What to run.
        url: Where clients reach it, if they do.
        log: The file that takes what it prints; None: nobody wants to know.
    """

    def __init__(self, program: Program, url: str = "", *, log: Path | None = None) -> None:
        self.url = url
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.program.name} does not run"
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it if it is not running, and wait until it is ready."""
        if self.is_running:
            return
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        with (self._log or Path(os.devnull)).open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 (our own command)
                self.program.command,
                env={**os.environ, **self.program.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline_s = time.monotonic() + _PATIENCE * self.program.ready_within_s
        while not self.program.is_ready():
            assert self.is_running, f"{self.program.name} ended before it was ready"
            assert time.monotonic() < deadline_s, f"{self.program.name} is not ready in time"
            time.sleep(_LOOK_AGAIN_S)

    def ask_to_stop(self) -> None:
        """Ask it to end, without waiting."""
        if self.process is not None:
            self.thaw()
            self.process.terminate()

    def stop(self) -> int | None:
        """Ask it to end and wait; return its exit status, or None if it was not running.

        Raises:
            TimeoutExpired: It did not end, and was killed.
        """
        self.ask_to_stop()
        if self.process is None:
            return None
        try:
            return self.process.wait(_PATIENCE * self.program.stop_within_s)
        finally:
            self.kill()  # and forget it

    def kill(self) -> None:
        """Kill it, so that it has no time to clean up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Freeze it: its connections stay open, and it does nothing."""
        if self.is_running:
            stand_still(self.pid)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def recover(self) -> None:
        """Undo what a test did to it."""
        self.thaw()
        self.start()

    def printed(self) -> bytes:
        """Return what it has logged."""
        return b"" if self._log is None else self._log.read_bytes()

    def calls_itself(self, owner: str) -> bool:
        """Return whether *owner*, under which a consumer holds jobs, is this process."""
        # Such an id names host, process and start.
        return self.is_running and self.pid == int(owner.split("-")[-2])

    def has_said(self, words: str, *, times: int = 1) -> bool:
        return self.printed().count(words.encode()) >= times

    def forget_printed(self) -> None:
        """Empty its log."""
        if self._log is not None and self._log.exists():
            os.truncate(self._log, 0)

    def children(self) -> list[int]:
        """Return the process ids of its children, such as a consumer's engine."""
        return children_of(self.pid)

    def _send(self, number: int) -> None:
        if self.is_running:
            os.kill(self.pid, number)


@contextmanager
def kept_running(server: Server) -> Iterator[Server]:
    """Run *server* until the end of the block, and kill it if it does not end in time."""
    try:
        server.start()
        yield server
    finally:
        with suppress(subprocess.TimeoutExpired):  # it was killed
            server.stop()


@contextmanager
def running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    """Run *program* until the end of the block, where it must stop in time; yield once ready."""
    server = Server(program)
    try:
        server.start()
        assert server.process is not None
        yield server.process
    finally:
        server.stop()
