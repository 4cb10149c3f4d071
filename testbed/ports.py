"""Free ports for servers that a test starts."""

import atexit
import secrets
import socket
from contextlib import ExitStack, suppress

from standalone.programs import HOST

# Below those that the kernel gives to outgoing connections: there a server that is started
# again could find its port taken, and a client of one that is down could connect to itself.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a free port, which no other call returns again, in any process."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """Find *count* consecutive free ports; return the first."""
    while True:
        first = secrets.choice(_PORTS[: len(_PORTS) - count + 1])
        with ExitStack() as undo:
            taken = [_reserved(port, undo) for port in range(first, first + count)]
            if all(taken):
                atexit.register(undo.pop_all().close)
                return first


def _reserved(port: int, undo: ExitStack) -> bool:
    """Reserve *port* until *undo* ends; return whether it was free.

    The reservation is the UDP port of the same number, which nobody else here has a use for.
    """
    reservation = undo.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    with socket.socket() as probe, suppress(OSError):
        reservation.bind((HOST, port))
        probe.bind((HOST, port))
        return True
    return False
