"""How many cores a process may use, according to its control groups."""

import os
from pathlib import Path

import pytest

from common.cores import available_cores


@pytest.fixture(autouse=True)
def _machine_with_16_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)


def cores(tmp_path: Path, membership: str, **files: str) -> int:
    """Count the cores for these memberships and these files of control groups."""
    own = tmp_path / "own"
    own.write_text(membership)
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return available_cores(tmp_path, own)


def test_without_control_groups_all_cores_count(tmp_path: Path) -> None:
    assert available_cores(tmp_path, tmp_path / "nowhere") == 16


def test_a_process_may_be_held_to_some_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 5, 7}, raising=False)

    assert available_cores(tmp_path, tmp_path / "nowhere") == 3


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("6400000 100000", 16),
        ("rubbish", 16),
    ],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, limit: str, expected: int) -> None:
    # A container sees its own control group as the root.
    assert cores(tmp_path, "0::/\n", **{"cpu.max": limit}) == expected


def test_the_smallest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"a/b/cpu.max": "800000 100000", "a/cpu.max": "300000 100000"}

    assert cores(tmp_path, "0::/a/b\n", **files) == 3


@pytest.mark.parametrize(("quota", "expected"), [("-1", 16), ("400000", 4), ("150000", 1)])
def test_the_limit_of_an_older_container_counts(tmp_path: Path, quota: str, expected: int) -> None:
    # Version 1 names the group as the host does, which the container may not see.
    files = {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": "100000"}

    assert cores(tmp_path, "5:cpu,cpuacct:/docker/0abc\n3:memory:/x\n", **files) == expected
