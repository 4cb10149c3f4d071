"""A program starts from its private file, after the remains of its last run have ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from standalone import launch
from standalone.processes import Recorded, started

ROOT: Final = Path(__file__).parents[2]
TELL: Final = """
import json, os, sys
told = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
print(json.dumps(told | {"pid": os.getpid(), "umask": os.umask(0)}))
"""


@pytest.fixture
def left_over() -> Iterator[subprocess.Popen[bytes]]:
    """Run something in a process group of its own, like nginx's workers."""
    with subprocess.Popen(["sleep", "600"], process_group=0) as process:  # noqa: S607 (POSIX)
        yield process
        process.kill()


def launched(run_dir: Path, *arguments: str, **environment: str) -> Any:
    """Launch a program as the supervisor would; return what it prints about itself."""
    program = {
        "command": [sys.executable, "-c", TELL, *arguments],
        "environment": environment,
        "directory": str(run_dir),
    }
    (run_dir / "programs.json").write_text(json.dumps({"it": program, "other": {}}))
    ended = subprocess.run(
        [sys.executable, "-m", "standalone.launch", "it"],
        env={"DARKROOM_RUN_DIR": str(run_dir), "GIVEN": "by the supervisor", "KEPT": "too"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ended.stderr == ""
    return json.loads(ended.stdout)


def test_a_program_gets_the_words_of_its_command_as_they_are(tmp_path: Path) -> None:
    words = ("a b", '"', "'", "%(ENV_HOME)s", "$HOME", ";", "ä")

    told = launched(tmp_path, *words)

    assert tuple(told["arguments"]) == words


def test_a_program_gets_its_environment_on_top_of_the_supervisor_s(tmp_path: Path) -> None:
    told = launched(tmp_path, GIVEN="by the file", PASSWORD="100% 'secret'")  # noqa: S106 (no real one)

    assert told["environment"]["GIVEN"] == "by the file"
    assert told["environment"]["KEPT"] == "too"
    assert told["environment"]["PASSWORD"] == "100% 'secret'"  # noqa: S105 (no real one)


def test_a_program_runs_in_its_directory_and_is_the_process_that_was_launched(
    tmp_path: Path,
) -> None:
    told = launched(tmp_path)

    assert Path(told["directory"]).samefile(tmp_path)
    recorded = Recorded.read(tmp_path / "it.process")
    assert recorded is not None
    assert (recorded.pid, recorded.session) == (told["pid"], os.getsid(0))


def test_what_a_program_writes_is_for_its_owner_alone(tmp_path: Path) -> None:
    told = launched(tmp_path)

    assert told["umask"] == 0o077


def test_what_is_left_of_the_last_run_is_ended_first(
    tmp_path: Path, left_over: subprocess.Popen[bytes]
) -> None:
    recorded(left_over).write(tmp_path / "it.process")

    launched(tmp_path)

    assert left_over.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize(
    "other",
    [
        {"session": 1},  # under another supervisor
        {"started": "another-boot/1"},  # the process id was reused since
        {"started": ""},
    ],
    ids=str,
)
def test_another_process_with_the_number_of_the_last_run_is_let_live(
    tmp_path: Path, left_over: subprocess.Popen[bytes], other: dict[str, Any]
) -> None:
    replace(recorded(left_over), **other).write(tmp_path / "it.process")

    launched(tmp_path)

    # Otherwise the signal would arrive before the program began.
    assert left_over.poll() is None


def test_the_record_of_another_program_is_none_of_its_business(
    tmp_path: Path, left_over: subprocess.Popen[bytes]
) -> None:
    recorded(left_over).write(tmp_path / "other.process")

    launched(tmp_path)

    assert left_over.poll() is None


@pytest.mark.parametrize("noted", ["", "12", "a b c", "999999999 1 x"])
def test_a_note_of_the_last_run_that_is_of_no_use_keeps_no_program_from_starting(
    tmp_path: Path, noted: str
) -> None:
    (tmp_path / "it.process").write_text(noted)

    told = launched(tmp_path)

    now = Recorded.read(tmp_path / "it.process")
    assert now is not None
    assert now.pid == told["pid"]


def test_a_program_waits_until_the_disk_that_it_writes_to_has_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    free = iter([0, launch.ENOUGH_TO_START_BYTES - 1, launch.ENOUGH_TO_START_BYTES])
    asked: list[Path] = []

    def usage(folder: Path) -> SimpleNamespace:
        asked.append(folder)
        return SimpleNamespace(free=next(free))

    class ExecutedError(Exception):
        """The process id would belong to another program now."""

    def execute(*_: object) -> None:
        raise ExecutedError

    (tmp_path / "programs.json").write_text(
        json.dumps(
            {"it": {"command": ["x"], "environment": {}, "directory": "/", "writes_to": "/d"}}
        )
    )
    monkeypatch.setattr("shutil.disk_usage", usage)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("os.execvpe", execute)
    monkeypatch.setattr("os.umask", lambda _: 0)
    monkeypatch.setattr("os.chdir", lambda _: None)
    monkeypatch.setattr(launch, "_end_with_the_supervisor", lambda: None)

    with pytest.raises(ExecutedError):
        launch.main("it", tmp_path)

    assert asked == [Path("/d")] * 3
    assert capsys.readouterr().out == "it is waiting: the disk of /d is full\n"


def recorded(process: subprocess.Popen[bytes]) -> Recorded:
    return Recorded(process.pid, os.getsid(process.pid), started(process.pid) or "")
