"""Whether resnet18's weights can be had: here, at their origin, and in time."""

import os
from pathlib import Path

import pytest

from embedded.weights import WeightsProbe
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send whoever asks beyond this machine to a port where nothing listens."""
    for name in list(os.environ):
        if name.lower() in {"no_proxy", "https_proxy", "all_proxy"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")


def test_weights_that_are_here_need_no_network(tmp_path: Path) -> None:
    kept = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    kept.parent.mkdir(parents=True)
    kept.touch()

    with WeightsProbe(tmp_path) as probe:
        obstacle = probe.obstacle()

    assert obstacle == ""


def test_weights_that_are_neither_here_nor_to_be_had_are_an_obstacle(tmp_path: Path) -> None:
    with WeightsProbe(tmp_path / "missing") as probe:
        obstacle = probe.obstacle()

    assert obstacle.startswith("download.pytorch.org cannot be reached: ")
    assert "refused" in obstacle


def test_a_proxy_that_cannot_be_one_is_an_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:port")

    with WeightsProbe(tmp_path) as probe:
        obstacle = probe.obstacle()

    assert obstacle.startswith("download.pytorch.org cannot be reached: ")


def test_a_look_that_hangs_is_an_obstacle_and_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    hangs = tmp_path / "hangs"
    hangs.write_text(f"#!/bin/sh\necho $$ >'{pid_file}'\nexec sleep 600\n")
    hangs.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(hangs))
    monkeypatch.setattr("embedded.weights._PATIENCE_S", 0.01)

    with WeightsProbe(tmp_path) as probe:
        wait_for(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        obstacle = probe.obstacle()

    assert obstacle == "download.pytorch.org does not answer within 0.01 s"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
