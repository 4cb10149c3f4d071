"""A file shows health checks that a process still works."""

import os
from pathlib import Path

import pytest

from common.pulse import Pulse


def test_a_beat_touches_the_file_but_not_more_than_once_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    file = tmp_path / "pulse"
    pulse = Pulse(file)

    pulse.beat()
    os.utime(file, (0, 0))
    now_s += 0.9
    pulse.beat()
    assert file.stat().st_mtime == 0

    now_s += 0.1
    pulse.beat()
    assert file.stat().st_mtime > 0


def test_without_a_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    Pulse(None).beat()

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_touched_ends_nobody(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path / "nowhere" / "pulse")

    pulse.beat()

    assert list(tmp_path.iterdir()) == []
