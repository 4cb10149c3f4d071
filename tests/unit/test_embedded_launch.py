"""A program starts from the private file, after what is left of its last run has ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
TELL: Final = """
import json, os, sys
told = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
print(json.dumps(told | {"pid": os.getpid()}))
"""


@pytest.fixture
def left_over() -> Iterator[subprocess.Popen[bytes]]:
    """Run something in a process group of its own, as nginx's workers are."""
    with subprocess.Popen(["sleep", "600"], process_group=0) as process:  # noqa: S607 (POSIX)
        yield process
        process.kill()


def launched(run_dir: Path, *arguments: str, **environment: str) -> Any:
    """Launch a program as the supervisor would; return what it tells of itself."""
    program = {
        "command": [sys.executable, "-c", TELL, *arguments],
        "environment": environment,
        "directory": str(run_dir),
    }
    (run_dir / "programs.json").write_text(json.dumps({"it": program, "other": {}}))
    ended = subprocess.run(
        [sys.executable, "-m", "embedded.launch", "it"],
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
    assert (tmp_path / "it.pid").read_text() == f"{told['pid']} {os.getpid()}"


def test_what_is_left_of_the_last_run_is_ended_first(
    tmp_path: Path, left_over: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "it.pid").write_text(f"{left_over.pid} {os.getpid()}")

    launched(tmp_path)

    assert left_over.wait(timeout=60) == -signal.SIGKILL


@pytest.mark.parametrize("name", ["it", "other"])
def test_a_number_that_was_noted_under_another_supervisor_or_for_another_program_is_let_live(
    tmp_path: Path, left_over: subprocess.Popen[bytes], name: str
) -> None:
    supervisor = os.getppid() if name == "it" else os.getpid()
    (tmp_path / f"{name}.pid").write_text(f"{left_over.pid} {supervisor}")

    launched(tmp_path)

    # The signal would have been delivered before the program began.
    assert left_over.poll() is None


@pytest.mark.parametrize("noted", ["", "12", "a b", "999999999 {supervisor}"])
def test_a_note_of_the_last_run_that_is_of_no_use_keeps_no_program_from_starting(
    tmp_path: Path, noted: str
) -> None:
    (tmp_path / "it.pid").write_text(noted.format(supervisor=os.getpid()))

    told = launched(tmp_path)

    assert (tmp_path / "it.pid").read_text() == f"{told['pid']} {os.getpid()}"
