"""XML-RPC over the supervisor's unix socket."""

import socket
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from xmlrpc.client import Transport


class UnixTransport(Transport):
    """Connects to a socket instead of a host."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        self.close()  # one for each question: the supervisor may be another by the next
        connection = HTTPConnection("supervisor")
        connection.sock = socket.socket(socket.AF_UNIX)
        self._connection = host, connection  # which is closed if anything fails
        connection.sock.connect(str(self._path))
        return connection
