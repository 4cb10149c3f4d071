"""Requests that no client library would send, through the real nginx and uWSGI.

Whatever comes, the answer is none of 5xx, but for what HTTP itself says so of (501, 505), no
process ends, and a good job is classified afterwards.
"""

import os
import random
import re
import signal
import socket
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from testbed.waiting import wait_for
from tests.examples import an_image
from tests.integration.roles import Roles

SEEDS = range(12)
A_SEED = 60
HONEST = {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED}
# Some requests are never complete for nginx, which then waits for more.
ANSWER_WITHIN_S = 5
IMAGE = an_image()

ODD = [
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"%FF",
    b"%00",
    b"%ED%A0%80",
    b"%",
    b"\x7f",
    b"\xf0\x9f\x98\x80",
    b"a" * 3000,
    b"[]",
    b"&&==",
    b"../../etc/passwd",
    b"{{7*7}}",
    b"\x01",
    b"-1",
    b"NaN",
    b"1e999",
    b"9" * 400,
    b"\\ud800",
]
PATHS = [
    b"/",
    b"/jobs",
    b"/jobs/",
    b"/jobs/x",
    b"/jobs/x/retry",
    b"/models",
    b"/readyz",
    b"/static/",
]
METHODS = [
    b"GET",
    b"POST",
    b"DELETE",
    b"HEAD",
    b"PUT",
    b"OPTIONS",
    b"PATCH",
    b"get",
    b"TRACE",
    b"X",
]
NAMES = [b"model", b"top_k", b"metadata", b"wait", b"image", b"base64"]
HEADERS = [
    b"Idempotency-Key",
    b"Prefer",
    b"Content-Encoding",
    b"Accept",
    b"Cookie",
    b"Origin",
    b"X-Forwarded-For",
    b"Range",
    b"Expect",
    b"If-None-Match",
    b"Host",
]


class Requests:
    """Makes random requests, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 (repeatable, not secret)

    def make(self) -> bytes:
        body, headers = self._body()
        line = self._chance.choice(METHODS) + b" " + self._target() + b" " + self._version()
        lines = [line, b"Host: x", b"Connection: close", *headers, *self._headers()]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def submission(self) -> bytes:
        """Make a POST that is odd only after its first line."""
        body, headers = self._body()
        target = b"/jobs?" + self._pairs(b"&")
        lines = [b"POST " + target + b" HTTP/1.1", b"Host: x", b"Connection: close"]
        return b"\r\n".join([*lines, *headers, *self._headers()]) + b"\r\n\r\n" + body

    def _odd(self) -> bytes:
        return self._chance.choice([*ODD, self._chance.randbytes(self._chance.randrange(1, 9))])

    def _in_a_line(self) -> bytes:
        return re.sub(rb"[\r\n\0 ]", b"_", self._odd())

    def _version(self) -> bytes:
        return self._chance.choice([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/9.9", b"HTTP/1.x"])

    def _target(self) -> bytes:
        path = self._chance.choice([*PATHS, b"/" + self._in_a_line(), self._in_a_line()])
        return path + (b"?" + self._pairs(b"&") if self._chance.random() < 0.8 else b"")

    def _pairs(self, between: bytes) -> bytes:
        pairs = [
            self._chance.choice([*NAMES, self._in_a_line()])
            + self._chance.choice([b"=", b"", b"=="])
            + self._in_a_line()
            for _ in range(self._chance.randrange(4))
        ]
        return between.join(pairs)

    def _headers(self) -> list[bytes]:
        return [
            self._chance.choice(HEADERS) + b": " + re.sub(rb"[\r\n\0]", b"_", self._odd())
            for _ in range(self._chance.randrange(3))
        ]

    def _body(self) -> tuple[bytes, list[bytes]]:
        kind, body = self._chance.choice(
            [self._raw, self._json, self._form, self._urlencoded, self._nothing]
        )()
        headers = [b"Content-Type: " + kind] if kind else []
        if self._chance.random() < 0.3:
            return self._chunked(body), [*headers, b"Transfer-Encoding: chunked"]
        length = self._chance.choice([len(body)] * 6 + [0, max(0, len(body) - 1)])
        return body[:length], [*headers, b"Content-Length: %d" % length]

    def _chunked(self, body: bytes) -> bytes:
        middle = self._chance.randrange(len(body) + 1)
        parts = [body[:middle], body[middle:]]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part)
        return chunks + self._chance.choice([b"0\r\n\r\n"] * 5 + [b"zz\r\n\r\n", b"-1\r\n\r\n"])

    def _nothing(self) -> tuple[bytes, bytes]:
        return b"", b""

    def _raw(self) -> tuple[bytes, bytes]:
        kind = self._chance.choice([b"image/png", b"application/octet-stream", b"\xff/\xfe"])
        return kind, self._chance.choice([IMAGE, IMAGE[:20], self._odd()])

    def _json(self) -> tuple[bytes, bytes]:
        value = self._chance.choice(
            [b'"%s"' % self._odd(), b"NaN", b"1e999", b"[" * 500, b"null", b"{}", b'"\\ud800"']
        )
        name = self._chance.choice([*NAMES, self._in_a_line()])
        body = b'{"base64": "aaaa", "%s": %s}' % (name, value)
        kind = self._chance.choice([b"application/json", b"application/json; charset=utf-16"])
        return kind, self._chance.choice([body, body[:-1], self._odd()])

    def _urlencoded(self) -> tuple[bytes, bytes]:
        return b"application/x-www-form-urlencoded", self._pairs(b"&")

    def _form(self) -> tuple[bytes, bytes]:
        boundary = self._chance.choice([b"x", b'"x"', b"\xff", b"", b"x" * 300])
        parts = [self._part(boundary.strip(b'"')) for _ in range(self._chance.randrange(1, 4))]
        end = self._chance.choice([b"--%s--\r\n" % boundary.strip(b'"'), b""])
        return b"multipart/form-data; boundary=" + boundary, b"".join(parts) + end

    def _part(self, boundary: bytes) -> bytes:
        name = self._chance.choice([*NAMES, self._in_a_line()])
        filename = self._chance.choice([b"", b'; filename="a.png"', b"; filename*=x'y'%FF"])
        if self._chance.random() < 0.3:
            filename = b'; filename="%s"' % self._in_a_line()
        content = self._chance.choice([IMAGE, self._odd()])
        return b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (
            boundary,
            name,
            filename,
            content,
        )


def requests_of(seed: int) -> Iterator[bytes]:
    requests = Requests(seed)
    for number in range(A_SEED):
        yield requests.submission() if number % 2 else requests.make()


def answer_to(port: int, request: bytes) -> bytes:
    """Send *request* unchanged; return everything until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S) as connection:
        # Not shut down for writing: nginx takes that for a client that has gone.
        connection.sendall(request)
        received = b""
        try:
            while part := connection.recv(65_536):
                received += part
        except (ConnectionResetError, TimeoutError):
            pass
        return received


def status_of(answer: bytes) -> int | None:
    """Return the status; None if nginx closed the connection silently or answered by HTTP/0.9."""
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match[1]) if match else None


@pytest.mark.parametrize("seed", SEEDS)
def test_no_request_gives_an_error_of_ours_or_ends_a_process(system: Roles, seed: int) -> None:
    port = int(system.client.url.rpartition(":")[2])
    before = system.processes

    faults = []
    for request in requests_of(seed):
        status = status_of(answer_to(port, request))
        if status is not None and status >= 500 and status not in HONEST:
            faults.append((status, request[:300]))

    assert faults == []
    system.wait_until_idle()
    # A worker of uWSGI or nginx, or an engine, that ended was replaced by another.
    assert system.processes == before


@pytest.mark.parametrize("role", ["api", "consumer-1", "nginx"])
def test_a_process_under_the_main_one_that_ends_does_not_go_unseen(
    system: Roles, role: str
) -> None:
    before = system.processes
    main, *under = before[role]

    os.kill(under[-1], signal.SIGKILL)

    # Another takes its place, and the main process goes on.
    wait_for(
        lambda: len(before[role]) == len(system.processes[role]) and system.processes != before
    )
    assert system.processes[role][0] == main


def get(port: int, headers: list[bytes], path: bytes = b"/healthz") -> int | None:
    lines = [b"GET " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *headers]
    return status_of(answer_to(port, b"\r\n".join(lines) + b"\r\n\r\n"))


@pytest.mark.parametrize("count", [50, 200, 900])
def test_a_request_may_have_hundreds_of_headers(system: Roles, count: int) -> None:
    port = int(system.client.url.rpartition(":")[2])

    assert get(port, [b"X-%d: 1" % number for number in range(count)]) == 200
    assert get(port, [b"Accept: */*"] * count) == 200


def test_a_request_may_have_all_that_nginx_lets_through(system: Roles) -> None:
    port = int(system.client.url.rpartition(":")[2])
    # A line lies in one of its buffers, of which there are four of 8 KiB.
    long = [b"X-%d: %b" % (number, b"x" * 8000) for number in range(2)]
    short = [b"%d:" % number for number in range(900)]

    assert get(port, [*long, *short], b"/healthz?" + b"x" * 8000) == 200


def test_more_headers_than_nginx_takes_are_an_error_of_the_client(system: Roles) -> None:
    port = int(system.client.url.rpartition(":")[2])

    # nginx counts them since 1.29, and in what Debian made of 1.22.
    assert get(port, [b"%d:" % number for number in range(2000)]) in {200, 431}


def test_after_all_that_a_good_job_is_classified(system: Roles) -> None:
    assert system.client.classify(IMAGE)["state"] == "done"


def test_there_are_at_least_five_hundred_of_them() -> None:
    assert len(SEEDS) * A_SEED >= 500
