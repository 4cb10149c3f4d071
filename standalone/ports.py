"""Check that ports are free for a start, and who holds those that are not."""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from standalone.errors import CannotStartError
from standalone.processes import all_pids
from standalone.programs import HOST, Port
from standalone.readiness import listens

_ANOTHER_PORT: Final = 9080
_PROC: Final = Path("/proc")
_LISTENING: Final = "0A"  # include/net/tcp_states.h


def refuse_taken_ports(ports: Iterable[Port]) -> None:
    """Check that *ports* are free.

    Raises:
        CannotStartError: Names the first port in use, its process, and the setting that moves it.
    """
    for port in ports:
        if _is_taken(port.number):
            raise CannotStartError(
                f"port {port.number} is in use by {_holder(port.number)}: stop that, or choose "
                f"another port with {port.setting}, or move all ports: "
                f"DARKROOM_PORT={_ANOTHER_PORT} ./start.sh"
            )


def _is_taken(number: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: recently closed connections do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError:
            return True
    # macOS lets two processes bind a port if one listens on all addresses.
    return listens(number)


def _holder(number: int) -> str:
    """Name the process that listens on a port, if the system shows it."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(number)}
    for pid in all_pids() if sockets else ():
        if sockets & _open_files(pid):
            return f"process {pid} ({_command(pid)})"
    return "another program"


def _listening_inodes(number: int) -> Iterable[str]:
    for table in ("net/tcp", "net/tcp6"):
        with suppress(OSError):
            for line in (_PROC / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == number:
                    yield fields[9]


def _open_files(pid: int) -> set[str]:
    files: set[str] = set()
    with suppress(OSError):  # it belongs to another user, or has ended
        for handle in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                files.add(str(handle.readlink()))
    return files


def _command(pid: int) -> str:
    with suppress(OSError):
        words = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return " ".join(os.fsdecode(word) for word in words[:3] if word)[:80]
    return "unknown"
