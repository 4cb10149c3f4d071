"""A unix socket has a path that is short enough, in a folder of its owner."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from standalone.errors import CannotStartError
from standalone.sockets import socket_path


@pytest.fixture
def far_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a path that is too long for a socket; short ones are in a folder of the test."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield tmp_path / ("long" * 30) / "api.sock"


def test_a_short_path_is_taken_as_it_is(tmp_path: Path) -> None:
    wanted = tmp_path / "run" / "a.sock"

    assert socket_path(wanted) == wanted
    assert wanted.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_could_enter_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)

    socket_path(tmp_path / "run" / "a.sock")

    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_too_long_gets_a_short_one_that_a_socket_can_have(far_away: Path) -> None:
    path = socket_path(far_away)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_short_path_is_always_the_same_and_that_of_another_is_another(far_away: Path) -> None:
    again = socket_path(far_away)

    assert socket_path(far_away) == again
    assert socket_path(far_away.with_name("other") / "api.sock") != again


def test_a_folder_of_somebody_else_is_refused(far_away: Path, tmp_path: Path) -> None:
    taken = socket_path(far_away).parent
    taken.rmdir()
    taken.symlink_to(tmp_path)

    with pytest.raises(CannotStartError, match="belongs to somebody else"):
        socket_path(far_away)


def test_the_owner_counts_not_the_rights(far_away: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = socket_path(far_away).parent
    somebody = os.geteuid() + 1
    taken.rename(taken.with_name(taken.name.replace(f"-{os.geteuid()}-", f"-{somebody}-")))
    monkeypatch.setattr(os, "geteuid", lambda: somebody)

    with pytest.raises(CannotStartError, match="belongs to somebody else"):
        socket_path(far_away)
