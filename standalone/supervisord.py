"""supervisord, made to outlive a full disk, and to renew a program that a full disk broke.

supervisord reports a log line that it cannot write on its standard error, which is a file on
the same disk: the error of the report ends it. An error while it rotates a log closes the pipe
that a program prints to. Here such lines are lost, and nothing else.
"""

import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from supervisor import events, loggers, supervisord

from standalone.launch import ENOUGH_TO_START_BYTES, RECORD, RUN_DIR
from standalone.processes import Recorded

SUPERVISOR: Final = "supervisor"


class LossyFileHandler(loggers.RotatingFileHandler):  # type: ignore[misc]  # untyped
    """Drops what it cannot write, and goes on once it can."""

    def emit(self, record: Any) -> None:
        try:
            super().emit(record)
        except (OSError, ValueError):  # it could not rotate; the file may be closed now
            with suppress(OSError):
                self.reopen()

    def handleError(self) -> None:  # noqa: N802 (supervisor's name)
        """Stay silent about a line that could not be written."""

    def close(self) -> None:
        with suppress(OSError, ValueError):  # what it held back does not fit, or it is closed
            super().close()


class Renewal:
    """Ends programs that complained of a full disk once that has space, so that they restart.

    RabbitMQ lives on after its write-ahead log met a full disk, but its queues are dead: only
    a restart of the node brings them back (seen with 3.10.8). Told of the lines that it logs.

    Args:
        complaints: By the name of a program, what it logs when the disk is full.
        folder: A folder on the disk.
    """

    def __init__(self, complaints: Mapping[str, bytes], folder: Path) -> None:
        self._complaints = complaints
        self._folder = folder
        self._broken: set[int] = set()

    def on_line(self, event: Any) -> None:
        """Note a process that complains."""
        complaint = self._complaints.get(event.process.config.name)
        if complaint is not None and complaint in event.data:
            self._broken.add(event.pid)

    def on_tick(self, _event: Any) -> None:
        """End the processes that complained, if there is space to start in."""
        if self._broken and shutil.disk_usage(self._folder).free > ENOUGH_TO_START_BYTES:
            for pid in self._broken:
                with suppress(ProcessLookupError):  # it ended by itself
                    os.kill(pid, signal.SIGTERM)
            self._broken.clear()


class Supervisord(supervisord.Supervisor):  # type: ignore[misc]  # untyped
    """Listens to what its programs log."""

    def runforever(self) -> None:
        # Before this, supervisord forgets all who subscribed.
        renewal = Renewal({"rabbitmq": b"enospc"}, _run_dir().parent / "rabbitmq")
        events.subscribe(events.ProcessLogStdoutEvent, renewal.on_line)
        events.subscribe(events.Tick5Event, renewal.on_tick)
        super().runforever()


def main() -> None:
    """Run supervisord with what is above in the place of its own."""
    os.umask(0o077)
    Recorded.this().write(_run_dir() / f"{SUPERVISOR}{RECORD}")
    loggers.RotatingFileHandler = LossyFileHandler  # by this name it makes all its log files
    supervisord.Supervisor = Supervisord
    supervisord.main()


def _run_dir() -> Path:
    return Path(os.environ[RUN_DIR])


if __name__ == "__main__":
    main()
