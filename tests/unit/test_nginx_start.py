"""nginx/start: that a container gets the configuration that the standalone system has."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.settings.api import ApiSettings
from standalone.nginx import StandaloneNginx
from standalone.settings import StandaloneSettings
from testbed.front import NGINX

pytestmark = pytest.mark.usefixtures("no_settings")

EQUAL_VALUES = {
    "DARKROOM_LISTEN": "127.0.0.1:8080",
    "DARKROOM_API": "unix:/run/api.sock",
    "DARKROOM_RESOLVER": "127.0.0.1",
}
SHELLS = [shell for shell in ("sh", "dash", "busybox") if shutil.which(shell)]
BREAKING_OUT = [" ", ";", "{", "}", '"', "'", "$", "\n", "\\", "#", "|", "&", "é"]


@dataclass(frozen=True)
class Container:
    """Runs the script with an nginx that only reports how it was called."""

    folder: Path

    def start(self, shell: str = "sh", **values: str) -> "subprocess.CompletedProcess[str]":
        applet = ("sh",) if shell == "busybox" else ()
        return subprocess.run(  # noqa: S603 (our own script)
            [str(shutil.which(shell)), *applet, str(NGINX / "start"), "-t"],
            env={
                "PATH": os.pathsep.join((str(self.folder), os.environ["PATH"])),
                "DARKROOM_NGINX_PREFIX": str(self.folder / "prefix"),
                "DARKROOM_NGINX_PIECES": str(self.folder / "pieces"),
                **values,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def mount(self, name: str, text: str) -> None:
        piece = self.folder / "pieces" / name
        piece.parent.mkdir(parents=True, exist_ok=True)
        piece.write_text(text)

    def rendered(self, name: str = "nginx.conf") -> str:
        return (self.folder / "prefix" / name).read_text()


@pytest.fixture
def container(tmp_path: Path) -> Container:
    (tmp_path / "nginx").write_text('#!/bin/sh\necho "nginx $*"\n')
    (tmp_path / "nginx").chmod(0o755)
    return Container(tmp_path)


def standalone(folder: Path, settings: StandaloneSettings) -> str:
    StandaloneNginx(
        folder=folder,
        port=8080,
        api_socket=Path("/run/api.sock"),
        max_body_bytes=settings.max_body_bytes,
        rate_limit=settings.rate_limit,
        connection_limit=settings.connection_limit,
        trusted_proxy=settings.trusted_proxy,
    ).prepare()
    return (folder / "nginx.conf").read_text()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "DARKROOM_RATE_LIMIT": "17",
            "DARKROOM_CONNECTION_LIMIT": "18",
            "DARKROOM_TRUSTED_PROXY": "2001:db8::/32",
            "DARKROOM_MAX_IMAGE_BYTES": "2048",
        },
    ],
    ids=["defaults", "others"],
)
def test_a_container_has_the_configuration_of_the_standalone_system(
    container: Container, monkeypatch: pytest.MonkeyPatch, shell: str, values: dict[str, str]
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    expected = standalone(container.folder / "standalone", StandaloneSettings())

    assert container.start(shell, **EQUAL_VALUES, **values).returncode == 0

    assert container.rendered() == expected


@pytest.mark.parametrize("image_bytes", [1024, 1025, 1026, 10_000_000, 10 * 1024**2, 14 * 1024**2])
def test_bodies_have_the_limit_that_the_api_has(container: Container, image_bytes: int) -> None:
    limit = ApiSettings(max_image_bytes=image_bytes).max_body_bytes

    container.start(DARKROOM_MAX_IMAGE_BYTES=str(image_bytes))

    assert f"client_max_body_size {limit};" in container.rendered()


def test_by_default_it_listens_for_everyone_and_asks_docker_for_the_api(
    container: Container,
) -> None:
    container.start()

    assert "listen 8080;" in container.rendered()
    assert "set $api api:8081;" in container.rendered()
    assert "resolver 127.0.0.11 " in container.rendered()


def test_it_becomes_nginx_with_the_arguments_it_was_given(container: Container) -> None:
    started = container.start()

    assert started.stdout == f"nginx -p {container.folder}/prefix/ -c nginx.conf -e stderr -t\n"
    assert started.stderr == ""


def test_mounted_pieces_are_filled_in_and_others_forgotten(container: Container) -> None:
    container.mount("http.d/old.conf", "# old")
    container.start()
    (container.folder / "pieces" / "http.d" / "old.conf").unlink()
    container.mount("http.d/new.conf", "listen ${DARKROOM_A}; # $uri ${uri} ${DARKROOM_...}\n")
    container.mount("server.d/tls.conf", (NGINX / "tls.conf").read_text())

    container.start(DARKROOM_A="[::1]:1")

    assert (
        container.rendered("http.d/new.conf") == "listen [::1]:1; # $uri ${uri} ${DARKROOM_...}\n"
    )
    assert container.rendered("server.d/tls.conf") == (NGINX / "tls.conf").read_text()
    assert not (container.folder / "prefix" / "http.d" / "old.conf").exists()


def test_a_value_that_a_piece_needs_and_nobody_gave_ends_it_with_one_line(
    container: Container,
) -> None:
    container.mount("http.d/management.conf", (NGINX / "management.conf").read_text())

    refused = container.start()

    assert refused.returncode == 2
    assert refused.stdout == ""
    [line] = refused.stderr.splitlines()
    assert line.startswith("darkroom: DARKROOM_MANAGEMENT_LISTEN is not set; ")


@pytest.mark.parametrize("character", BREAKING_OUT)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_value_that_could_break_out_of_its_place_ends_it_with_one_line(
    container: Container, shell: str, character: str
) -> None:
    refused = container.start(shell, DARKROOM_API=f"api:8081{character}x")

    assert refused.returncode == 2
    assert refused.stdout == ""
    [line] = refused.stderr.splitlines()
    assert line.startswith("darkroom: DARKROOM_API is invalid: ")


@pytest.mark.parametrize(
    "name", ["DARKROOM_RATE_LIMIT", "DARKROOM_CONNECTION_LIMIT", "DARKROOM_MAX_IMAGE_BYTES"]
)
@pytest.mark.parametrize("number", ["many", "0", "010", "1e3", "-1", "1 ", "1\n2"])
def test_a_number_that_is_none_ends_it_with_one_line(
    container: Container, name: str, number: str
) -> None:
    refused = container.start(**{name: number})

    assert refused.returncode == 2
    [line] = refused.stderr.splitlines()
    assert line == f"darkroom: {name} is invalid: expected a whole number of at least 1"
