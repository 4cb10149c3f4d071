"""uwsgi.ini: who may reach the API's socket, and how a hanging request ends."""

import http.client
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from standalone import roles
from standalone.programs import HOST
from standalone.readiness import listens
from testbed.ports import free_port
from testbed.server import Server
from testbed.waiting import wait_for

INI = Path(__file__).parents[2] / "uwsgi.ini"
HARAKIRI_S = 2
LIMIT_S = 60
# An app that answers with its process id, and hangs where it is asked to.
APP = """
import os, threading

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@dataclass(frozen=True)
class Uwsgi:
    """uWSGI with the project's settings and an app of the test's own."""

    socket: Path
    http_port: int

    def ask(self, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=LIMIT_S)
        try:
            connection.request("POST", path, body)
            return connection.getresponse().read()
        finally:
            connection.close()


@pytest.fixture
def uwsgi(tmp_path: Path) -> Iterator[Uwsgi]:
    (tmp_path / "hanging.py").write_text(APP)
    ini = INI.read_text()
    for ours, of_the_test in (
        ("module = api.wsgi:app", f"pythonpath = {tmp_path}\nmodule = hanging:app"),
        ("route-run = harakiri:90", f"route-run = harakiri:{HARAKIRI_S}"),
    ):
        assert ours in ini
        ini = ini.replace(ours, of_the_test)
    (tmp_path / "uwsgi.ini").write_text(ini)
    http_port, socket = free_port(), tmp_path / "api.sock"
    bind = {"DARKROOM_API_HEALTH_BIND": f"{HOST}:{http_port}"}
    program = roles.api(socket, bind, grace_s=5)
    program = replace(program, command=(program.command[0], "--ini", f"{tmp_path}/uwsgi.ini"))
    server = Server(program, log=tmp_path / "uwsgi.log")
    server.start()
    wait_for(lambda: listens(http_port))
    yield Uwsgi(socket, http_port)
    server.stop()


def test_only_the_owner_may_use_the_socket(uwsgi: Uwsgi) -> None:
    assert uwsgi.socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("size", [0, 3_000_000], ids=["no body", "a body kept in a file"])
def test_a_request_that_hangs_is_ended(uwsgi: Uwsgi, size: int) -> None:
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        uwsgi.ask("/hang", bytes(size))

    assert uwsgi.ask("/").isdigit()
