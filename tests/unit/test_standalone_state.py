"""A state that is damaged, full, foreign or readable by others is repaired or refused."""

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from standalone import __main__ as command
from standalone.errors import CannotStartError
from standalone.rabbitmq import Credentials
from standalone.state import in_one_line, make_private, prepare


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of a state, which the command line also uses."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("DARKROOM_STATE_DIR", str(folder))
    before, umask = Path.cwd(), os.umask(0o022)
    yield folder
    os.chdir(before)
    os.umask(umask)


def say(verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Run ``./start.sh`` *verb*, which fails; return the one line that it prints."""
    monkeypatch.setattr("sys.argv", ["./start.sh", verb])
    assert command.main() == 1
    said = capsys.readouterr()
    assert said.err == ""
    [line] = said.out.splitlines()
    return line


def refusal(folder: Path) -> str:
    with pytest.raises(CannotStartError) as refused:
        prepare(folder)
    [line] = str(refused.value).splitlines()
    return line


def test_all_rights_of_others_are_taken_from_what_was_there(state: Path) -> None:
    (state / "weights" / "a").mkdir(parents=True)
    for path in (state / "weights" / "a" / "b.onnx", state / "c"):
        path.write_bytes(b"")
        path.chmod(0o755)
    for path in (state, state / "weights", state / "weights" / "a"):
        path.chmod(0o777)

    prepare(state)

    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}
    assert {modes[path] for path in modes if path.is_dir()} == {0o700}
    assert {modes[path] for path in modes if path.is_file()} == {0o600}


def test_what_a_link_leads_to_keeps_its_rights(state: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    outside.chmod(0o644)
    (state / "link").symlink_to(outside)
    (state / "nowhere").symlink_to(tmp_path / "nowhere")

    make_private(state)

    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


@pytest.mark.parametrize("shared", ["/", "~", "code"])
def test_a_folder_that_serves_others_is_left_alone(
    shared: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    code = Path(__file__).parents[2]
    folder = {"/": Path("/"), "~": tmp_path, "code": code}[shared]
    before = folder.stat().st_mode

    assert "is not reserved for Darkroom" in refusal(folder)
    assert folder.stat().st_mode == before


def test_a_folder_like_tmp_is_left_alone_unless_only_we_use_it(state: Path) -> None:
    state.chmod(0o1777)
    (state / "somebody's").touch()
    assert "DARKROOM_STATE_DIR" in refusal(state)

    (state / "somebody's").unlink()
    prepare(state)

    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_full_disk_is_told_before_anything_starts(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3 * 1024**2))

    assert "is full: 3 MiB are free, but a start needs 64 MiB" in refusal(state)


@pytest.mark.parametrize(
    "damage",
    [b"\0" * 100, b"this is no database, and long enough for a header" * 10, b"SQLite format 3\0"],
    ids=["zeros", "text", "cut off"],
)
def test_a_damaged_store_is_named_with_the_way_out(state: Path, damage: bytes) -> None:
    database = state / "store" / "databases" / "darkroom.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(damage)

    line = refusal(state)

    assert str(database) in line
    assert "restore it from a backup" in line


def test_a_store_that_is_damaged_in_the_middle_is_named(state: Path) -> None:
    database = state / "store" / "databases" / "darkroom.db"
    database.parent.mkdir(parents=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table jobs (id integer primary key, data text)")
        connection.executemany("insert into jobs (data) values (?)", [("x" * 500,)] * 500)
        connection.commit()
    content = bytearray(database.read_bytes())
    content[8192:40_960] = b"\xff" * (40_960 - 8192)
    database.write_bytes(content)

    assert "is damaged" in refusal(state)


def test_a_store_that_is_whole_or_empty_is_used(state: Path) -> None:
    databases = state / "store" / "databases"
    databases.mkdir(parents=True)
    (databases / "empty.db").touch()
    with closing(sqlite3.connect(databases / "darkroom.db")) as connection:
        connection.execute("create table jobs (id integer primary key)")

    prepare(state)

    assert (databases / "darkroom.db").stat().st_size > 0


@pytest.mark.parametrize("verb", ["up", "stop", "status"])
def test_a_file_where_the_state_should_be_gives_one_line(
    verb: str, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state.rmdir()
    state.write_bytes(b"")

    line = say(verb, monkeypatch, capsys)

    assert f"{state}: File exists" in line
    assert "move the file away" in line


@pytest.mark.parametrize("verb", ["up", "stop", "status"])
def test_a_folder_where_the_lock_should_be_gives_one_line(
    verb: str, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / "run" / "lock").mkdir(parents=True)

    line = say(verb, monkeypatch, capsys)

    assert f"{state / 'run' / 'lock'}: Is a directory" in line
    assert "move the folder away" in line


@pytest.mark.parametrize("name", ["run", "log", "store", "store/databases", "rabbitmq", "nginx"])
def test_a_file_where_a_folder_should_be_gives_one_line(
    name: str, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (state / name).parent.mkdir(exist_ok=True)
    (state / name).write_bytes(b"")

    line = say("up", monkeypatch, capsys)

    assert str(state / name) in line
    assert "move the file away" in line


@pytest.mark.parametrize(
    ("number", "helps"),
    [
        (errno.EROFS, "mount it writable"),
        (errno.EACCES, "make the user"),
        (errno.ENOSPC, "free space"),
        (errno.EIO, "choose another folder"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_told_with_what_helps(
    number: int, helps: str
) -> None:
    line = in_one_line(OSError(number, os.strerror(number), "/srv/state"))

    assert line.startswith(f"/srv/state: {os.strerror(number)}; ")
    assert helps in line


def test_damaged_credentials_of_rabbitmq_are_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")

    with pytest.raises(CannotStartError, match=r"credentials\.json is damaged; move it and"):
        Credentials.kept_in(tmp_path / "credentials.json")
