"""Counts the bytes between the roles and a server, by standing in between."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final

from embedded.programs import HOST

_AT_ONCE_BYTES: Final = 65_536


@dataclass(slots=True)
class Counts:
    """What went through, and where to connect."""

    port: int
    sent_bytes: int = 0
    received_bytes: int = 0


@contextmanager
def counting(port: int) -> Iterator[Counts]:
    """Carry connections to *port* until the end of the block, and count what they carry."""
    counts = Counts(0)
    lock = threading.Lock()

    def count(*, sent: int = 0, received: int = 0) -> None:
        with lock:
            counts.sent_bytes += sent
            counts.received_bytes += received

    class Carrier(BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((HOST, port)) as there:
                back = threading.Thread(target=self._carry_back, args=(there,), daemon=True)
                back.start()
                for some in _through(self.request, there):
                    count(sent=len(some))
                back.join()

        def _carry_back(self, there: socket.socket) -> None:
            for some in _through(there, self.request):
                count(received=len(some))

    with ThreadingTCPServer((HOST, 0), Carrier) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, name="proxy", daemon=True).start()
        counts.port = server.server_address[1]
        yield counts
        server.shutdown()


def _through(source: socket.socket, target: socket.socket) -> Iterator[bytes]:
    """Yield what *source* sends, each before it is carried on to *target*."""
    with suppress(OSError):  # either end may be gone
        while some := source.recv(_AT_ONCE_BYTES):
            yield some
            target.sendall(some)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
