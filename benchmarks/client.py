"""An HTTP client that costs next to nothing: one connection, kept open, requests written whole."""

import json
import socket
import time
from typing import Any, Final
from urllib.parse import urlsplit

_TIMEOUT_S: Final = 120.0
_WAIT_S: Final = 20
_IDLE_S: Final = 30.0  # nginx closes what was silent for twice as long
_AT_ONCE_BYTES: Final = 65_536
_OK: Final = 200
_ACCEPTED: Final = 202


class RefusedError(Exception):
    """The service did not do what it was asked for."""


class Connection:
    """Speaks to the service at *url*. Belongs to one thread."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._socket: socket.socket | None = None
        self._used_s = 0.0

    def post(self, image: bytes, *, model: str = "", content_type: str = "image/jpeg") -> str:
        """Hand in *image*; return the id of its job.

        Raises:
            RefusedError: It was not accepted.
        """
        query = f"?model={model}" if model else ""
        head = (
            f"POST /jobs{query} HTTP/1.1\r\nHost: bench\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(image)}\r\n\r\n"
        )
        status, body = self._ask(head.encode() + image)
        if status != _ACCEPTED:
            raise RefusedError(f"{status}: {body.decode(errors='replace')}")
        job_id: str = json.loads(body)["id"]
        return job_id

    def post_and_wait(self, image: bytes, *, model: str, content_type: str) -> dict[str, Any]:
        """Hand *image* in, and return its job once that has ended.

        Raises:
            RefusedError: It was not accepted, or it takes too long.
        """
        head = (
            f"POST /jobs?model={model} HTTP/1.1\r\nHost: bench\r\nPrefer: wait={_WAIT_S}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(image)}\r\n\r\n"
        )
        return self._expect_job(head.encode() + image)

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as it is now.

        Raises:
            RefusedError: There is none.
        """
        return self._expect_job(f"GET /jobs/{job_id} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _expect_job(self, request: bytes) -> dict[str, Any]:
        status, body = self._ask(request)
        if status != _OK:
            raise RefusedError(f"{status}: {body.decode(errors='replace')}")
        job: dict[str, Any] = json.loads(body)
        return job

    def _ask(self, request: bytes) -> tuple[int, bytes]:
        if time.monotonic() - self._used_s > _IDLE_S:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        self._used_s = time.monotonic()
        head, _, body = self._receive_until(b"\r\n\r\n")
        fields = _fields(head)
        length = int(fields.get(b"content-length", b"0"))
        while len(body) < length:
            body += self._receive()
        # nginx does so after a thousand requests.
        if fields.get(b"connection") == b"close":
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def _receive_until(self, end: bytes) -> tuple[bytes, bytes, bytes]:
        received = b""
        while end not in received:
            received += self._receive()
        return received.partition(end)

    def _receive(self) -> bytes:
        if self._socket is None or not (some := self._socket.recv(_AT_ONCE_BYTES)):
            raise ConnectionError("the service closed the connection")
        return some


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    return {name: value.strip() for name, _, value in lines}
