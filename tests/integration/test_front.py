"""A real nginx, as a container runs it: its choice of APIs, its limits, the addresses it trusts."""

import http.client
import os
import re
import resource
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from standalone.programs import HOST
from testbed.front import (
    NGINX,
    Answer,
    Front,
    NameServer,
    UwsgiApi,
    ask,
    nginx_is_missing,
    running_front,
    serving,
)
from testbed.ports import free_port
from testbed.waiting import wait_for

ANOTHER = "127.0.0.2"
HALF_A_HEADER = b"GET / HTTP/1.1\r\nHost: x\r\nX-"
DRIPPING_BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n."
NO_ANSWER = "urn:darkroom:problem:api-unavailable"

Start = Callable[..., Front]


@dataclass
class Surroundings:
    """A name server, and the port that every api has."""

    names: NameServer
    api_port: int
    _opened: ExitStack

    def api(self, host: str, *, hangs_up: bool = False) -> UwsgiApi:
        api = UwsgiApi(host, self.api_port, hangs_up=hangs_up)
        self._opened.enter_context(serving(api))
        return api


@pytest.fixture
def surroundings() -> Iterator[Surroundings]:
    with ExitStack() as opened:
        names = NameServer([HOST])
        opened.enter_context(serving(names.server))
        yield Surroundings(names, free_port(), opened)


@pytest.fixture
def start(surroundings: Surroundings, tmp_path: Path) -> Iterator[Start]:
    """Start an nginx that knows the apis by name, with further values."""
    if nginx_is_missing():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    with ExitStack() as opened:

        def start_it(**values: str) -> Front:
            api = f"api.test:{surroundings.api_port}"
            by_name = {"RESOLVER": surroundings.names.address, "API": api}
            return opened.enter_context(running_front(tmp_path, **by_name, **values))

        yield start_it


def add_piece(folder: Path, name: str, **changes: str) -> None:
    """Mount one of the optional pieces, with other ports and paths."""
    piece = (NGINX / Path(name).name).read_text()
    for old, new in changes.items():
        assert old in piece
        piece = piece.replace(old, new)
    (folder / "pieces" / name).parent.mkdir(parents=True)
    (folder / "pieces" / name).write_text(piece)


# Which api


def test_a_new_api_is_found_and_one_that_is_gone_is_forgotten(
    surroundings: Surroundings, start: Start
) -> None:
    front = start()
    surroundings.api(HOST)
    surroundings.api(ANOTHER)
    assert front.ask().json["HOST"] == HOST

    surroundings.names.addresses = [ANOTHER]

    # Each of nginx's processes finds out by itself.
    wait_for(lambda: {front.ask().json["HOST"] for _ in range(8)} == {ANOTHER}, within_s=10)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_one_api_refuses_goes_to_the_next(
    surroundings: Surroundings, start: Start, method: str
) -> None:
    front = start()
    surroundings.names.addresses = [ANOTHER, HOST]  # and nobody listens at the other
    surroundings.api(HOST)

    answers = [front.ask(method) for _ in range(20)]

    assert [answer.status for answer in answers] == [200] * 20
    assert "Connection refused" in front.log


def test_a_request_that_one_api_does_not_take_in_time_goes_to_the_next(
    surroundings: Surroundings, start: Start
) -> None:
    front = start()
    surroundings.names.addresses = [ANOTHER, HOST]
    surroundings.api(HOST)
    statuses: set[int] = set()
    with ExitStack() as opened:
        # Its queue is full; the kernel drops further connections without a word.
        busy = opened.enter_context(
            socket.create_server((ANOTHER, surroundings.api_port), backlog=0)
        )
        opened.enter_context(socket.create_connection(busy.getsockname()))

        while "timed out" not in front.log:
            statuses.add(front.ask("POST").status)

    assert statuses == {200}


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1), ("DELETE", 1), ("PUT", 1)])
def test_only_what_changes_nothing_is_handed_in_twice(
    surroundings: Surroundings, start: Start, method: str, times: int
) -> None:
    front = start()
    surroundings.names.addresses = [ANOTHER, HOST]
    apis = [surroundings.api(host, hangs_up=True) for host in (HOST, ANOTHER)]

    answer = front.ask(method)

    assert answer.status == 503
    assert answer.json["type"] == NO_ANSWER
    assert answer.headers["Retry-After"] == "1"
    assert sum(len(api.seen) for api in apis) == times


def test_without_any_api_the_answer_is_a_problem(surroundings: Surroundings, start: Start) -> None:
    front = start()
    surroundings.names.addresses = []

    answer = front.ask("DELETE", "/jobs/1")

    assert answer.status == 503
    assert answer.json["type"] == NO_ANSWER


# How many requests


def refusal(front: Front, *, within: int = 100, headers: Mapping[str, str] | None = None) -> Answer:
    """Send at most *within* requests until one is refused; return that answer."""
    for _ in range(within):
        if (answer := front.ask("POST", headers=headers)).status != 200:
            return answer
    others = [line for line in front.log.splitlines() if '" 200 ' not in line]
    pytest.fail(f"none of {within} was too many; nginx says: {others}")


def test_too_many_requests_of_an_address_are_refused_with_a_problem(
    surroundings: Surroundings, start: Start
) -> None:
    front = start(RATE_LIMIT="1")
    surroundings.api(HOST)

    refused = refusal(front)

    assert refused.status == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"] == "1"
    assert refused.json["type"] == "urn:darkroom:problem:too-many-requests"
    assert "may send 1 requests" in refused.json["detail"]


def test_the_requests_of_another_address_are_not_counted_along(
    surroundings: Surroundings, start: Start
) -> None:
    front = start(RATE_LIMIT="1")
    surroundings.api(HOST)
    refusal(front)

    assert front.ask(source=ANOTHER).status == 200


def test_a_burst_of_a_second_s_share_is_let_through_at_once(
    surroundings: Surroundings, start: Start
) -> None:
    front = start(RATE_LIMIT="50")
    surroundings.api(HOST)

    assert {front.ask().status for _ in range(50)} == {200}


# How many connections


def hold(front: Front, count: int, sent: bytes, *, source: str = HOST) -> ExitStack:
    """Open connections that each send only the beginning of a request."""
    held = ExitStack()
    for _ in range(count):
        connection = socket.create_connection((HOST, front.port), source_address=(source, 0))
        held.enter_context(connection).sendall(sent)
    return held


def test_an_address_with_too_many_requests_in_hand_is_refused_with_a_problem(
    surroundings: Surroundings, start: Start
) -> None:
    front = start(CONNECTION_LIMIT="5")
    surroundings.api(HOST)

    # More than the limit, so that it is reached even if nginx drops one of them.
    with hold(front, 10, DRIPPING_BODY):
        # A request that is held counts once nginx has read its header; an answered one still
        # counts for a moment. After the first refusal the next request may be let through.
        refused = refusal(front, within=2000)
        of_another = front.ask(source=ANOTHER)

    assert refused.status == 429
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Retry-After"] == "1"
    assert refused.json["type"] == "urn:darkroom:problem:too-many-connections"
    assert "may have 5 open requests" in refused.json["detail"]
    assert of_another.status == 200
    wait_for(lambda: front.ask().status == 200)


def test_thousands_of_connections_of_one_address_shut_nobody_out(
    surroundings: Surroundings, start: Start
) -> None:
    allow_open_files(8000)
    front = start()
    surroundings.api(HOST)

    with hold(front, 1500, HALF_A_HEADER), hold(front, 2200, DRIPPING_BODY):
        answers = [front.ask(source=ANOTHER).status for _ in range(20)]

    assert set(answers) == {200}


def allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"a process may have {hard} files open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


# Whom it believes


def logged_addresses(front: Front) -> set[str]:
    """Return the senders of requests according to the log, which is written after the answers."""

    def found() -> set[str]:
        return set(re.findall(r"^(\S+) \[.*\" 200 ", front.log, re.MULTILINE))

    wait_for(found)
    return found()


def test_nobody_s_claim_to_speak_for_another_is_believed_by_default(
    surroundings: Surroundings, start: Start
) -> None:
    front = start()
    surroundings.api(HOST)

    told = front.ask(headers={"X-Forwarded-For": "203.0.113.9"}).json

    assert (told["REMOTE_ADDR"], told["HTTP_X_FORWARDED_FOR"]) == (HOST, HOST)
    assert logged_addresses(front) == {HOST}


@pytest.mark.parametrize(
    "claim", ["203.0.113.9", "198.51.100.1, 203.0.113.9", "203.0.113.9, 127.0.0.1"]
)
def test_a_trusted_proxy_tells_the_last_address_that_is_no_proxy_s(
    surroundings: Surroundings, start: Start, claim: str
) -> None:
    front = start(TRUSTED_PROXY="127.0.0.1/32")
    surroundings.api(HOST)

    told = front.ask(headers={"X-Forwarded-For": claim}).json

    assert (told["REMOTE_ADDR"], told["HTTP_X_FORWARDED_FOR"]) == ("203.0.113.9", "203.0.113.9")
    assert logged_addresses(front) == {"203.0.113.9"}


def test_only_the_proxy_that_was_named_is_trusted(surroundings: Surroundings, start: Start) -> None:
    front = start(TRUSTED_PROXY="127.0.0.1/32")
    surroundings.api(HOST)

    told = front.ask(source=ANOTHER, headers={"X-Forwarded-For": "203.0.113.9"}).json

    assert told["REMOTE_ADDR"] == ANOTHER


def test_requests_are_counted_by_client_behind_a_trusted_proxy(
    surroundings: Surroundings, start: Start
) -> None:
    front = start(RATE_LIMIT="1", TRUSTED_PROXY="127.0.0.0/8")
    surroundings.api(HOST)

    assert refusal(front, headers={"X-Forwarded-For": "203.0.113.9"}).status == 429
    assert front.ask(headers={"X-Forwarded-For": "203.0.113.10"}).status == 200


# The optional pieces


def test_the_management_ui_is_passed_on_with_its_paths_as_they_are(
    start: Start, tmp_path: Path
) -> None:
    management, rabbitmq = f"{HOST}:{free_port()}", HTTPServer((HOST, 0), WhatItWasAsked)
    add_piece(tmp_path, "http.d/management.conf", **{":15672": f":{rabbitmq.server_port}"})
    front = start(MANAGEMENT_LISTEN=management)

    with serving(rabbitmq):
        answer = ask(
            http.client.HTTPConnection(management), "GET", "/api/queues/%2F/darkroom?a=b", {}
        )

    assert answer.body == f"{management} /api/queues/%2F/darkroom?a=b".encode()
    assert front.server.is_running


class WhatItWasAsked(BaseHTTPRequestHandler):
    """An answer in plain text."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{self.headers['Host']} {self.path}".encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    made = subprocess.run(  # noqa: S603 (our own command)
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",  # noqa: S607 (wherever it is)
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}",
         "-keyout", "key", "-out", "certificate"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return tmp_path / "certificate"


@pytest.fixture
def tls_port(tmp_path: Path, certificate: Path) -> int:
    port = free_port()
    changes = {
        " 8443": f" {HOST}:{port}",
        "/run/secrets/tls_certificate": str(certificate),
        "/run/secrets/tls_key": str(certificate.with_name("key")),
    }
    add_piece(tmp_path, "server.d/tls.conf", **changes)
    return port


def test_over_tls_the_api_answers_and_browsers_are_told_to_stay_with_it(
    surroundings: Surroundings, start: Start, tls_port: int, certificate: Path
) -> None:
    front = start()
    surroundings.api(HOST)
    context = ssl.create_default_context(cafile=str(certificate))

    answer = ask(http.client.HTTPSConnection(HOST, tls_port, context=context), "GET", "/", {})

    assert answer.json["HTTPS"] == "on"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Strict-Transport-Security" not in front.ask().headers


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_has_its_modern_versions_and_http_2(
    start: Start, tls_port: int, certificate: Path, version: ssl.TLSVersion
) -> None:
    start()
    context = ssl.create_default_context(cafile=str(certificate))
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])

    connection = http.client.HTTPSConnection(HOST, tls_port, context=context)
    connection.connect()

    assert isinstance(connection.sock, ssl.SSLSocket)
    assert connection.sock.selected_alpn_protocol() == "h2"
    connection.close()
