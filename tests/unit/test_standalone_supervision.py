"""The supervisor's configuration: the order, how each program stops, and no secrets."""

import json
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from standalone.configuration import configuration
from standalone.errors import CannotStartError
from standalone.programs import Program, Stage
from standalone.supervision import Process, Supervisor

SOCKET = Path("run/supervisor.sock")


def a_program(name: str, stage: Stage = Stage.WORKERS, **changes: Any) -> Program:
    fields = {"name": name, "role": name, "stage": stage, "command": ("true",)}
    return Program(**{**fields, **changes})


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder whose name the supervisor's configuration cannot quote."""
    folder = tmp_path / 'a %(b)s; "c'
    for name in ("run", "log"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DARKROOM_ROOT", str(folder))
    return folder


@pytest.fixture
def understood() -> Any:
    """Let supervisord read a configuration; return its options."""

    def read(*programs: Program, socket: Path = SOCKET) -> Any:
        Path("run/supervisord.conf").write_text(configuration(programs, socket))
        options = ServerOptions()
        options.realize(["-c", "run/supervisord.conf"])
        return options

    return read


@pytest.fixture
def no_supervisord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a supervisord that ends at once in PATH."""
    ends = tmp_path / "ends"
    ends.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")
    ends.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(ends))


def refuse_to_launch(supervisor: Supervisor, *programs: Program) -> str:
    with pytest.raises(CannotStartError) as refused:
        supervisor.launch(programs)
    return str(refused.value)


def test_stages_start_in_their_order_whatever_that_of_the_programs(understood: Any) -> None:
    options = understood(
        a_program("nginx", Stage.FRONT),
        a_program("consumer-1"),
        a_program("store", Stage.SERVERS),
        a_program("consumer-2"),
    )

    groups = [
        (group.name, [program.name for program in group.process_configs])
        for group in sorted(options.process_group_configs)
    ]
    assert groups == [
        ("servers", ["store"]),
        ("workers", ["consumer-1", "consumer-2"]),
        ("front", ["nginx"]),
    ]


def test_a_program_ends_by_its_own_signal_and_in_its_own_time(understood: Any) -> None:
    options = understood(a_program("nginx", stop_signal="QUIT", stop_within_s=17))

    [group] = options.process_group_configs
    [program] = group.process_configs
    assert program.stopsignal.name == "SIGQUIT"
    assert program.stopwaitsecs == 17
    assert program.killasgroup


def test_a_program_waits_for_its_stage_and_is_started_again_when_it_dies(
    understood: Any, state_dir: Path
) -> None:
    options = understood(a_program("courier"))

    [group] = options.process_group_configs
    [program] = group.process_configs
    assert program.command == "python -m standalone.launch courier"
    assert program.directory == str(state_dir)
    assert not program.autostart
    assert program.autorestart
    assert program.stdout_logfile == "log/courier.log"
    assert program.redirect_stderr


def test_the_supervisor_answers_its_owner_only(understood: Any, state_dir: Path) -> None:
    options = understood(a_program("courier"))

    [server] = options.server_configs
    assert server["file"] == str(state_dir / SOCKET)
    assert server["chmod"] == 0o600
    assert options.nodaemon


def test_neither_commands_nor_passwords_are_in_the_configuration() -> None:
    program = a_program("api", command=("uwsgi", "--x"), environment={"PASSWORD": "secret"})

    text = configuration([program], SOCKET)

    assert "secret" not in text
    assert "uwsgi" not in text
    assert "secret" not in repr(program)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.usefixtures("no_supervisord")
def test_commands_and_environments_are_in_a_file_that_only_the_owner_reads(
    state_dir: Path,
) -> None:
    program = a_program("api", command=("uwsgi", "a b"), environment={"PASSWORD": "secret"})

    refuse_to_launch(Supervisor(state_dir), program)

    file = Path("run/programs.json")
    written = json.loads(file.read_text())["api"]
    assert written["command"] == ["uwsgi", "a b"]
    assert written["environment"] == {"PASSWORD": "secret"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert Path("run/supervisord.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.usefixtures("no_supervisord")
def test_a_supervisor_that_does_not_start_is_told_with_its_own_words(state_dir: Path) -> None:
    supervisor = Supervisor(state_dir)

    told = refuse_to_launch(supervisor, a_program("api"))

    assert told == "the supervisor did not start: no such thing"
    assert not supervisor.is_running()


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.usefixtures("no_supervisord")
def test_process_ids_of_the_last_run_are_forgotten_with_it(state_dir: Path) -> None:
    for file in ("supervisor.pid", "nginx.pid", "nginx.process"):
        Path("run", file).write_text("1")

    refuse_to_launch(Supervisor(state_dir), a_program("nginx"))

    assert [*Path("run").glob("*.pid"), *Path("run").glob("*.process")] == []


def test_where_nothing_was_started_nothing_runs(state_dir: Path) -> None:
    supervisor = Supervisor(state_dir)

    assert not supervisor.is_running()
    assert supervisor.pid() is None
    assert supervisor.processes() == []


@pytest.mark.parametrize(
    ("state", "is_failing"),
    [("STOPPED", False), ("STARTING", False), ("RUNNING", False), ("STOPPING", False),
     ("BACKOFF", True), ("EXITED", True), ("FATAL", True)],
)  # fmt: skip
def test_a_program_that_ended_by_itself_is_failing(state: str, is_failing: bool) -> None:
    assert Process("api", state, 0).is_failing is is_failing


def test_the_number_of_a_consumer_is_no_part_of_its_role() -> None:
    assert Process("consumer-2", "RUNNING", 7).role == "consumer"
