"""nginx as a container runs it, with fake APIs behind it and a name server for them."""

import json
import os
import shutil
import socket
import socketserver
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any, Final

from standalone.programs import HOST, Program, Stage
from standalone.readiness import listens
from testbed.ports import free_port
from testbed.server import Server

NGINX: Final = Path(__file__).parents[1] / "nginx"
_PATH: Final = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
_LIMIT_S: Final = 10


@dataclass(frozen=True)
class Answer:
    """An answer, as the client received it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Front:
    """A running nginx."""

    port: int
    server: Server

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        *,
        source: str = HOST,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request from the address *source* on a new connection."""
        return ask(
            HTTPConnection(HOST, self.port, timeout=_LIMIT_S, source_address=(source, 0)),
            method,
            path,
            headers or {},
        )

    @property
    def log(self) -> str:
        return self.server.printed().decode()


def ask(connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    body = b"some bytes" if method in {"POST", "PUT"} else None
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def nginx_is_missing() -> bool:
    return shutil.which("nginx", path=_PATH) is None


@contextmanager
def running_front(folder: Path, **values: str) -> Iterator[Front]:
    """Run ``nginx/start`` with *values* until the end of the block.

    Args:
        folder: Its prefix, its log and the pieces of configuration lie here.
        values: By their names without ``DARKROOM_``.
    """
    port = free_port()
    program = Program(
        name="nginx",
        role="nginx",
        stage=Stage.FRONT,
        command=(str(NGINX / "start"),),
        environment={
            "PATH": _PATH,
            "DARKROOM_NGINX_PREFIX": str(folder / "prefix"),
            "DARKROOM_NGINX_PIECES": str(folder / "pieces"),
            "DARKROOM_LISTEN": f"{HOST}:{port}",
            "DARKROOM_RATE_LIMIT": "1000",
            "DARKROOM_TRUSTED_PROXY": "",
            "DARKROOM_MAX_IMAGE_BYTES": "1048576",
            **{f"DARKROOM_{name}": value for name, value in values.items()},
        },
        is_ready=lambda: listens(port),
    )
    server = Server(program, log=folder / "nginx.log")
    try:
        server.start()
        yield Front(port, server)
    finally:
        server.stop()


class UwsgiApi(socketserver.ThreadingTCPServer):
    """Speaks uWSGI's protocol: answers with the variables that it was sent, as JSON.

    Source: https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, *, hangs_up: bool = False) -> None:
        super().__init__((host, port), _UwsgiRequest)
        self.hangs_up = hangs_up
        self.seen: list[dict[str, str]] = []


class _UwsgiRequest(socketserver.StreamRequestHandler):
    server: UwsgiApi

    def handle(self) -> None:
        variables = dict(self._variables())
        self.rfile.read(int(variables["CONTENT_LENGTH"] or 0))
        self.server.seen.append(variables)
        if self.server.hangs_up:
            return
        body = json.dumps(variables | {"HOST": self.server.server_address[0]}).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _variables(self) -> Iterator[tuple[str, str]]:
        _, size, _ = struct.unpack("<BHB", self.rfile.read(4))
        packet = self.rfile.read(size)
        words: list[str] = []
        while packet:
            (length,) = struct.unpack_from("<H", packet)
            words.append(packet[2 : 2 + length].decode())
            packet = packet[2 + length :]
        return zip(words[::2], words[1::2], strict=True)


@dataclass
class NameServer:
    """Answers every query with *addresses*, or with "no such name" if there are none."""

    addresses: Sequence[str] = ()
    _server: socketserver.UDPServer = field(init=False)

    def __post_init__(self) -> None:
        names = self

        class Question(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                question, sender = self.request
                sender.sendto(names.reply(question), self.client_address)

        self._server = socketserver.UDPServer((HOST, 0), Question)

    @property
    def address(self) -> str:
        """Its address, as nginx's ``resolver`` expects it."""
        return f"{HOST}:{self._server.server_address[1]}"

    @property
    def server(self) -> socketserver.UDPServer:
        return self._server

    def reply(self, question: bytes) -> bytes:
        """Write a DNS message (RFC 1035, 4.1); it may be kept for ten minutes, as Docker's."""
        no_such_name = 0 if self.addresses else 3
        head = question[:2] + struct.pack(
            ">HHHHH", 0x8180 | no_such_name, 1, len(self.addresses), 0, 0
        )
        records = (
            struct.pack(">HHHIH", 0xC00C, 1, 1, 600, 4) + socket.inet_aton(address)
            for address in self.addresses
        )
        return head + question[12:] + b"".join(records)


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Let *server* serve until the end of the block."""
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
