"""On a full disk supervisord loses log lines and nothing else."""

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from supervisor import loggers

from standalone.launch import ENOUGH_TO_START_BYTES
from standalone.supervisord import LossyFileHandler, Renewal

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "api.log"


@pytest.fixture
def rabbitmq() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "600"]) as process:  # noqa: S607 (POSIX)
        yield process
        process.kill()


def say(handler: LossyFileHandler, line: bytes) -> None:
    handler.emit(loggers.LogRecord(loggers.LevelsByName.INFO, line))


def raise_full(*_: Any) -> None:
    raise FULL


def test_a_line_that_does_not_fit_is_lost_without_a_word(
    log_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = LossyFileHandler(str(log_file))
    with monkeypatch.context() as full:
        full.setattr(handler, "stream", SimpleNamespace(write=raise_full, tell=lambda: 0))
        say(handler, b"lost\n")

    say(handler, b"kept\n")

    handler.close()
    assert log_file.read_bytes() == b"kept\n"
    assert capsys.readouterr().err == ""


def test_a_log_that_cannot_be_rotated_goes_on_once_it_can(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = LossyFileHandler(str(log_file), maxBytes=4, backupCount=1)
    with monkeypatch.context() as full:
        full.setattr(handler, "_rename", raise_full)  # its stream is closed by then
        say(handler, b"first\n")

    say(handler, b"second\n")

    handler.close()
    assert log_file.with_name("api.log.1").read_bytes() == b"first\nsecond\n"


def test_a_node_that_met_a_full_disk_is_ended_once_there_is_space(
    rabbitmq: "subprocess.Popen[bytes]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [0]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free[0]))
    renewal = Renewal({"rabbitmq": b"enospc"}, tmp_path)

    renewal.on_line(a_line("rabbitmq", rabbitmq.pid, b"{badmatch,{error,enospc}}"))
    renewal.on_tick(None)
    lived_on = rabbitmq.poll() is None
    free[0] = 2 * ENOUGH_TO_START_BYTES
    renewal.on_tick(None)

    assert lived_on
    assert rabbitmq.wait(timeout=60) == -signal.SIGTERM
    renewal.on_tick(None)  # never twice: its process id may be reused


@pytest.mark.parametrize(
    ("name", "line"), [("api", b"enospc"), ("rabbitmq", b"all is well")], ids=["api", "well"]
)
def test_whoever_did_not_complain_is_let_live(name: str, line: bytes, tmp_path: Path) -> None:
    renewal = Renewal({"rabbitmq": b"enospc"}, tmp_path)

    renewal.on_line(a_line(name, os.getpid(), line))
    renewal.on_tick(None)  # would end these tests


def a_line(name: str, pid: int, data: bytes) -> Any:
    process = SimpleNamespace(config=SimpleNamespace(name=name))
    return SimpleNamespace(process=process, pid=pid, data=data)
