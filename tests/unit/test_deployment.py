"""The deployment has passwords, and opens no port that nobody asked for."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def test_the_real_file_gives_the_store_a_password_and_publishes_on_loopback_only() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert "MONGO_INITDB_ROOT_PASSWORD: ${DARKROOM_MONGO_PASSWORD:?" in text
    assert "RABBITMQ_DEFAULT_PASS: ${DARKROOM_RABBITMQ_PASSWORD:?" in text
    assert "mongodb://darkroom:${DARKROOM_MONGO_PASSWORD:?" in text
    assert '"127.0.0.1:${DARKROOM_MANAGEMENT_PORT:-15672}:15672"' in text


def test_the_images_say_the_version_that_the_project_has() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert f'image.version="{version}"' in (ROOT / "Dockerfile").read_text()


def test_start_sh_writes_nothing_where_there_is_no_docker(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_bytes((ROOT / "start.sh").read_bytes())
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")

    refused = subprocess.run(  # noqa: S603 (our own command)
        ["/bin/bash", str(tmp_path / "start.sh"), "compose"],
        env={"PATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )

    assert refused.returncode == 1
    assert "install Docker" in refused.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"start.sh", "dirname"}


def test_start_sh_makes_passwords_that_nobody_else_can_read(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_bytes((ROOT / "start.sh").read_bytes())
    for name in ("docker", "docker-compose"):
        (tmp_path / name).write_text(f'#!/bin/sh\n[ "$1" = compose ] && exit 1\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)

    def compose(*arguments: str) -> str:
        return subprocess.run(  # noqa: S603 (our own command)
            ["bash", str(tmp_path / "start.sh"), "compose", *arguments],  # noqa: S607
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    assert compose("ps") == "docker-compose ps\n"
    first = (tmp_path / ".env").read_text()
    assert compose() == "docker-compose up --build --detach\n"

    passwords = dict(line.split("=") for line in first.splitlines())
    assert set(passwords) == {"DARKROOM_RABBITMQ_PASSWORD", "DARKROOM_MONGO_PASSWORD"}
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in passwords.values())
    assert len(set(passwords.values())) == len(passwords)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".env").read_text() == first  # kept: without it the data cannot be read


def test_start_sh_adds_passwords_to_settings_that_are_there_already(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_bytes((ROOT / "start.sh").read_bytes())
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / ".env").write_text("DARKROOM_MODELS=mine\nDARKROOM_MONGO_PASSWORD=given")

    subprocess.run(  # noqa: S603 (our own command)
        ["bash", str(tmp_path / "start.sh"), "compose", "ps"],  # noqa: S607
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )

    *kept, made = (tmp_path / ".env").read_text().splitlines()
    assert kept == ["DARKROOM_MODELS=mine", "DARKROOM_MONGO_PASSWORD=given"]
    assert re.fullmatch("DARKROOM_RABBITMQ_PASSWORD=[0-9a-f]{48}", made)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
