"""./start.sh: what it starts and prints, and that it leaves nothing behind."""

import os
import signal
import socket
import stat
from http import HTTPStatus
from pathlib import Path

import pytest
import requests

from testbed.client import Client
from testbed.processes import stand_still
from testbed.waiting import wait_for
from tests.e2e.conftest import PATIENCE_S, ROOT, Darkroom, Terminal, ports_of_the_machine

ROLES = {"nginx", "api", "consumer", "courier", "rabbitmq", "store", "epmd"}
SAMPLE = ROOT / "models" / "digits" / "samples" / "7.png"


def test_the_status_lists_living_processes_by_role(darkroom: Darkroom) -> None:
    status = darkroom.status()

    assert status["running"]
    assert status["ready"]
    assert set(status["roles"]) == ROLES
    assert len(status["roles"]["consumer"]) == 2
    assert {pid for pids in status["roles"].values() for pid in pids} <= darkroom.processes()


def test_the_status_for_people_has_every_program_and_what_an_operator_asks_first(
    darkroom: Darkroom,
) -> None:
    text = darkroom.run("status").stdout

    assert all(role in text for role in ROLES)
    assert f"address       {darkroom.url}/" in text
    assert "ready         yes" in text
    assert "oldest job    none" in text
    assert "served, 10 labels, onnx, the default model" in text


def test_the_status_knows_the_queue_s_depth_and_how_long_it_runs(darkroom: Darkroom) -> None:
    wait_for(
        lambda: darkroom.status()["queue_depth"] == 0,
        within_s=PATIENCE_S,
        what="the depth is known",
    )

    assert darkroom.status()["uptime_s"] > 0


@pytest.mark.parametrize("role", ["nginx", "api", "consumer", "courier", "store", "rabbitmq"])
def test_a_killed_role_is_started_again(darkroom: Darkroom, role: str) -> None:
    victim, *others = darkroom.pids(role)

    os.kill(victim, signal.SIGKILL)

    def is_replaced() -> bool:
        pids = darkroom.pids(role)
        return len(pids) == 1 + len(others) and victim not in pids

    wait_for(is_replaced, within_s=PATIENCE_S, what=f"{role} is started again")
    wait_for(
        lambda: darkroom.status()["ready"], within_s=PATIENCE_S, what="the system is ready again"
    )
    job = Client(darkroom.url).classify(SAMPLE.read_bytes())
    assert job["state"] == "done"


def test_a_second_start_says_that_it_runs_and_where(darkroom: Darkroom) -> None:
    before = darkroom.processes()

    second = darkroom.run("-d")

    assert second.returncode == 0
    assert "already running in this folder" in second.stdout
    assert darkroom.greeting_line("curl -F") in second.stdout
    assert before <= darkroom.processes()


def test_a_start_with_other_settings_says_which_and_changes_nothing(darkroom: Darkroom) -> None:
    before = darkroom.processes()
    darkroom.environment["DARKROOM_MODELS"] = "digits,resnet18"
    try:
        second = darkroom.run("-d")
    finally:
        darkroom.environment["DARKROOM_MODELS"] = "digits"

    assert second.returncode == 1
    assert "already running in this folder with other settings" in second.stdout
    assert "DARKROOM_MODELS is digits, not digits,resnet18" in second.stdout
    assert before <= darkroom.processes()


def test_the_greeting_says_what_is_served_and_nothing_of_other_models(darkroom: Darkroom) -> None:
    assert "served, 10 labels" in darkroom.greeting_line("digits")
    assert "resnet18" not in darkroom.greeting


def test_the_management_api_tells_the_depth_of_the_queue(darkroom: Darkroom) -> None:
    management = darkroom.status()["management"]
    assert management["password"] in darkroom.greeting_line("RabbitMQ's management")

    def depth() -> object:
        response = requests.get(
            management["url"] + "api/queues/%2F/darkroom.classify",
            auth=(management["user"], management["password"]),
            timeout=30,
        )
        return response.json().get("messages_ready")

    wait_for(
        lambda: depth() == 0, within_s=PATIENCE_S, what="the management API knows the queue's depth"
    )


def test_the_management_api_knows_no_guest(darkroom: Darkroom) -> None:
    url = darkroom.status()["management"]["url"] + "api/overview"

    response = requests.get(url, auth=("guest", "guest"), timeout=30)

    assert response.status_code == HTTPStatus.UNAUTHORIZED


def test_the_logs_of_a_role_are_shown(darkroom: Darkroom) -> None:
    shown = darkroom.run("logs", "rabbitmq").stdout.splitlines()
    written = (darkroom.state_dir / "log" / "rabbitmq.log").read_text().splitlines()

    assert shown
    assert "\n".join(shown) in "\n".join(written)


def test_the_logs_are_those_of_our_roles_unless_more_is_asked_for(darkroom: Darkroom) -> None:
    shown, all_of_them = darkroom.run("logs").stdout, darkroom.run("logs", "all").stdout

    for ours in ("api", "consumer-1", "consumer-2", "courier"):
        assert f"log/{ours}.log" in shown
    for of_a_server in ("nginx", "rabbitmq", "store"):
        assert f"log/{of_a_server}.log" not in shown
        assert f"log/{of_a_server}.log" in all_of_them


def test_a_command_that_there_is_not_is_named(darkroom: Darkroom) -> None:
    refused = darkroom.run("nonsense")

    assert refused.returncode == 2
    assert "there is no command 'nonsense'" in refused.stderr.splitlines()[0]


def test_an_unknown_role_has_no_logs_and_the_known_ones_are_named(darkroom: Darkroom) -> None:
    shown = darkroom.run("logs", "nobody")

    assert shown.returncode == 1
    assert "consumer" in shown.stdout


def test_secrets_are_readable_by_their_owner_only(darkroom: Darkroom) -> None:
    password = darkroom.status()["management"]["password"].encode()

    holders = [
        path
        for path in darkroom.state_dir.rglob("*")
        if path.is_file() and path.stat().st_size < 1_000_000 and password in path.read_bytes()
    ]

    assert holders
    assert [path for path in holders if path.stat().st_mode & 0o077] == []


def test_nobody_else_may_read_what_the_system_wrote_nor_what_was_there_before(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / "state"
    for name in ("log/api.log", "weights/exports/old.onnx", "rabbitmq/mnesia/old", "mine/a/b"):
        file = state_dir / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        file.chmod(0o644)
    for folder in (state_dir, *(path for path in state_dir.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    system = Darkroom(state_dir)
    system.start()
    try:
        # Large enough for files of nginx's and uWSGI's own.
        noise = os.urandom(3_000_000)
        requests.post(system.url + "/jobs", files={"image": ("a.png", noise)}, timeout=60)
        Client(system.url).classify(SAMPLE.read_bytes())
        paths = [state_dir, *state_dir.rglob("*")]
        rights = {path: path.lstat().st_mode for path in paths if not path.is_symlink()}
    finally:
        system.run("stop")

    open_to_others = {
        str(path): oct(mode)
        for path, mode in rights.items()
        if stat.S_IMODE(mode) != (0o700 if stat.S_ISDIR(mode) else 0o600)
    }
    assert open_to_others == {}
    assert len(rights) > 80


def test_the_api_under_nginx_has_the_headers_of_a_careful_server(darkroom: Darkroom) -> None:
    headers = requests.get(darkroom.url + "/healthz", timeout=30).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "nginx"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /_problem/413 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505),
        (b"POST /jobs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: odd\r\n\r\n", 501),
        (b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_what_nginx_refuses_is_a_problem_too(
    darkroom: Darkroom, request_bytes: bytes, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", darkroom.port), timeout=30) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)  # or nginx waits for the rest of a body
        head, _, body = _read_all(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json" in head
    assert b'"status": %d' % status in body or b'"status":%d' % status in body


def test_a_taken_port_gives_one_line_that_names_it_and_its_setting(
    stopped_darkroom: Darkroom,
) -> None:
    with socket.create_server(("127.0.0.1", stopped_darkroom.port + 3)):
        refused = stopped_darkroom.run("-d")

    assert refused.returncode == 1
    [line] = refused.stdout.splitlines()
    assert f"port {stopped_darkroom.port + 3} is in use by process {os.getpid()} " in line
    assert "DARKROOM_AMQP_PORT" in line
    assert not stopped_darkroom.status()["running"]


def test_a_bad_setting_stops_the_start_with_one_line(stopped_darkroom: Darkroom) -> None:
    stopped_darkroom.environment["DARKROOM_CONSUMERS"] = "many"

    refused = stopped_darkroom.run("-d")

    assert refused.returncode == 2
    [line] = (refused.stdout + refused.stderr).splitlines()
    assert "DARKROOM_CONSUMERS" in line
    assert "'many'" in line
    assert "from 1 to 64" in line


def test_a_model_that_nobody_has_stops_the_start_with_the_reason(
    stopped_darkroom: Darkroom,
) -> None:
    stopped_darkroom.environment["DARKROOM_MODELS"] = "no_such_model"

    refused = stopped_darkroom.run("-d")

    assert refused.returncode == 1
    assert "no_such_model" in refused.stdout.splitlines()[-1]
    assert not stopped_darkroom.status()["running"]


def test_stop_without_a_running_system_says_so(stopped_darkroom: Darkroom) -> None:
    stopped = stopped_darkroom.run("stop")

    assert stopped.returncode == 0
    assert stopped.stdout == "Darkroom is not running in this folder.\n"


def test_stop_leaves_no_process_behind_and_jobs_survive_it(stopped_darkroom: Darkroom) -> None:
    with stopped_darkroom.in_foreground() as starter:
        wait_for(
            lambda: stopped_darkroom.status()["ready"],
            within_s=PATIENCE_S,
            what="the system is ready",
        )
        starter.kill()  # and yet `stop` shall find everything
    client = Client(stopped_darkroom.url)
    location = client.post_form(SAMPLE.read_bytes()).headers["Location"]
    before = client.wait_for(location)
    processes = stopped_darkroom.processes()

    stopped = stopped_darkroom.run("stop")

    assert stopped.stdout == "Stopped.\n"
    stopped_darkroom.assert_gone(processes)
    stopped_darkroom.start()
    assert client.wait_for(location) == before


def test_a_killed_supervisor_takes_everything_with_it(stopped_darkroom: Darkroom) -> None:
    stopped_darkroom.start()
    processes = stopped_darkroom.processes()

    os.kill(stopped_darkroom.status()["supervisor"], signal.SIGKILL)

    stopped_darkroom.assert_gone(processes)
    assert not stopped_darkroom.status()["running"]


def test_what_outlives_the_supervisor_is_named_and_stopped(stopped_darkroom: Darkroom) -> None:
    stopped_darkroom.start()
    processes = stopped_darkroom.processes()
    api, *_ = stopped_darkroom.pids("api")
    stand_still(api)  # so that it does not hear that its supervisor dies
    os.kill(stopped_darkroom.status()["supervisor"], signal.SIGKILL)
    wait_for(
        lambda: not stopped_darkroom.status()["running"],
        within_s=PATIENCE_S,
        what="the supervisor ends",
    )

    status = stopped_darkroom.run("status")
    refused = stopped_darkroom.run("-d")
    stopped = stopped_darkroom.run("stop")

    assert status.returncode == 3
    assert str(api) in status.stdout
    assert refused.returncode == 1
    [line] = refused.stdout.splitlines()
    assert str(api) in line
    assert "./start.sh stop" in line
    assert stopped.returncode == 0
    assert str(api) in stopped.stdout
    stopped_darkroom.assert_gone(processes)


def test_a_supervisor_whose_records_are_gone_is_stopped(stopped_darkroom: Darkroom) -> None:
    stopped_darkroom.start()
    processes = stopped_darkroom.processes()
    for name in ("supervisor.pid", "supervisor.process"):
        (stopped_darkroom.state_dir / "run" / name).write_bytes(b"\0" * 9)

    assert stopped_darkroom.run("stop").stdout == "Stopped.\n"

    stopped_darkroom.assert_gone(processes)


def test_ctrl_c_after_the_greeting_stops_everything(
    stopped_darkroom: Darkroom, tmp_path: Path
) -> None:
    terminal = Terminal(stopped_darkroom, tmp_path / "screen")
    terminal.wait_for("Ctrl-C stops everything")
    processes = stopped_darkroom.processes()

    terminal.press_ctrl_c()

    assert terminal.wait_for_the_end() == 130
    stopped_darkroom.assert_gone(processes)


@pytest.mark.parametrize("moment", ["starting rabbitmq", "starting nginx"])
def test_ctrl_c_during_the_start_leaves_nothing(
    stopped_darkroom: Darkroom, tmp_path: Path, moment: str
) -> None:
    terminal = Terminal(stopped_darkroom, tmp_path / "screen")
    terminal.wait_for(moment)
    processes = stopped_darkroom.processes()

    terminal.press_ctrl_c()

    assert terminal.wait_for_the_end() == 130
    stopped_darkroom.assert_gone(processes)


def test_nothing_listens_where_the_machines_own_services_would(darkroom: Darkroom) -> None:
    assert darkroom.status()["ready"]

    assert ports_of_the_machine() == darkroom.machine_ports_before


def _read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received
