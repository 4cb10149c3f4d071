"""A proxy that counts the bytes between the roles and a server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final

from standalone.programs import HOST

_AT_ONCE_BYTES: Final = 65_536
_counting: Final = threading.Lock()


@dataclass(slots=True)
class Counts:
    """What went through, and where to connect."""

    port: int
    sent_bytes: int = 0
    received_bytes: int = 0


@contextmanager
def counting(port: int) -> Iterator[Counts]:
    """Forward connections to *port* until the end of the block, and count their bytes."""
    counts = Counts(0)

    class Carrier(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((HOST, port)) as there:
                back = (there, self.request, counts, "received_bytes")
                thread = threading.Thread(target=_carry, args=back, daemon=True)
                thread.start()
                _carry(self.request, there, counts, "sent_bytes")
                thread.join()

    with ThreadingTCPServer((HOST, 0), Carrier) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="proxy", daemon=True).start()
        counts.port = server.server_address[1]
        yield counts
        server.shutdown()


def _carry(source: socket.socket, target: socket.socket, counts: Counts, name: str) -> None:
    with suppress(OSError):  # either end may be gone
        while some := source.recv(_AT_ONCE_BYTES):
            with _counting:
                setattr(counts, name, getattr(counts, name) + len(some))
            target.sendall(some)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
