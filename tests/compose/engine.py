"""The Docker engine and the images of this checkout."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from testbed.waiting import wait_for

ROOT: Final = Path(__file__).parents[2]
TAG: Final = "under-test"
TARGETS: Final = ("api", "courier", "consumer", "consumer-lite")
BASES: Final = {
    "python": "python:3.11-slim-bookworm",
    "rabbitmq": "rabbitmq:4-management",
    "mongo": "mongo:8",
    "nginx": "nginx:1-alpine",
}

# Builds local stand-ins under the names of the public images, where those cannot be pulled.
_STANDINS: Final = Path(
    os.environ.get(
        "DARKROOM_TEST_STANDINS", ROOT.parent / "shared" / "tools" / "standin" / "build-images"
    )
)
_PID_FILE: Final = Path("/var/run/docker.pid")
_CPU_TORCH: Final = "https://download.pytorch.org/whl/cpu/torch/"
_BUILD_LIMIT_S: Final = 1200
_LIMIT_S: Final = 120


class NoEngineError(Exception):
    """There is no usable Docker engine; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers.

    Args:
        docker: Its client, and how that is called.
        compose: The command of Compose.
        has_standins: Whether the base images are stand-ins.
    """

    docker: str
    compose: tuple[str, ...]
    has_standins: bool

    def run(self, *arguments: str, limit_s: float = _LIMIT_S, check: bool = True) -> str:
        """Run ``docker`` *arguments*; return its output.

        Raises:
            AssertionError: It failed; the text has what it said.
        """
        return run((self.docker, *arguments), limit_s=limit_s, check=check)

    def inspect(self, name: str, *, kind: str = "container") -> dict[str, Any]:
        [found] = json.loads(self.run(kind, "inspect", name))
        document: dict[str, Any] = found
        return document

    def logs(self, name: str) -> bytes:
        """Return a container's standard output and error."""
        return subprocess.run(  # noqa: S603 (our own command)
            (self.docker, "logs", name),
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT_S,
        ).stdout

    def build(self, target: str, *, fresh: bool = False, tag: str = TAG) -> str:
        """Build a target of the Dockerfile; return its name."""
        name = f"darkroom/{target}:{tag}"
        options = ["--no-cache"] if fresh else []
        if self.has_standins:
            # Their package index is reached from the host's network.
            options += ["--network", "host"]
        self.run(
            *("build", *options, "--build-arg", f"TORCH_INDEX={torch_index()}"),
            *("--target", target, "--tag", name, str(ROOT)),
            limit_s=_BUILD_LIMIT_S,
        )
        return name

    def files(self, image: str) -> dict[str, str]:
        """Return all files of an image, with type, mode and owner."""
        listing = self.run(
            *("run", "--rm", "--user", "0", "--network", "none", "--entrypoint", "find", image),
            *("/", "-xdev", "-not", "-path", "/proc/*", "-not", "-path", "/sys/*"),
            *("-not", "-path", "/dev/*", "-printf", "%p\\t%y %m %u:%g\\n"),
        )
        return dict(line.split("\t") for line in listing.splitlines())


def find_engine() -> Engine:
    """Return the engine, with its base images; in CI, install it if possible.

    Raises:
        NoEngineError: There is none, or its base images cannot be had.
    """
    has_standins = _STANDINS.is_file() and not _can_pull()
    if has_standins and "CI" in os.environ:
        # It installs and starts the engine, too, if there is none.
        with suppress(AssertionError, subprocess.TimeoutExpired):
            run((str(_STANDINS),), limit_s=_BUILD_LIMIT_S)
    docker = _docker()
    if docker is None:
        raise NoEngineError("no Docker engine answers here")
    compose = _compose(docker)
    if compose is None:
        raise NoEngineError("neither `docker compose` nor docker-compose is here")
    engine = Engine(docker, compose, has_standins)
    for image in BASES.values():
        if not _is_there(engine, image):
            raise NoEngineError(f"the image {image} is not here, and cannot be pulled")
    _expect_networks(engine)
    return engine


def _expect_networks(engine: Engine) -> None:
    """Check what every test needs from the machine.

    Raises:
        NoEngineError: Containers have no network of their own here, or reach no package index.
    """
    name = f"darkroom-probe-{uuid.uuid4().hex[:8]}"
    outside = ("--network", "host") if engine.has_standins else ()
    download = ("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "/tmp")  # noqa: S108 (in a container)
    try:
        engine.run("run", "--rm", *outside, BASES["python"], *download, "dumb-init")
        engine.run("network", "create", "--internal", name)
        engine.run(
            *("run", "--detach", "--name", name, "--network", name, "--memory", "64m"),
            *("--read-only", "--user", "10001", "--cap-drop", "ALL", BASES["python"]),
            *("python3", "-m", "http.server", "8000"),
        )
        [network] = engine.inspect(name)["NetworkSettings"]["Networks"].values()
        wait_for(lambda: _accepts(network["IPAddress"], 8000), what="a container is reached")
    except (AssertionError, subprocess.TimeoutExpired) as exc:
        raise NoEngineError(f"containers do not work here: {str(exc)[:300]}") from exc
    finally:
        engine.run("rm", "--force", name, check=False)
        engine.run("network", "rm", name, check=False)


def _accepts(host: str, port: int) -> bool:
    with suppress(OSError):
        socket.create_connection((host, port), timeout=2).close()
        return True
    return False


@contextmanager
def others_wait() -> Iterator[None]:
    """Let other processes wait that would prepare the engine or build images of this checkout."""
    with (ROOT / "Dockerfile").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def stopped_again() -> Iterator[None]:
    """Stop an engine that was started inside the block."""
    before = dockerd()
    try:
        yield
    finally:
        after = dockerd()
        if before is None and after is not None:
            os.kill(after, signal.SIGTERM)
            wait_for(lambda: dockerd() is None, within_s=60, what="dockerd ends")


def dockerd() -> int | None:
    """Return the process id of this machine's engine, if it runs."""
    with suppress(OSError, ValueError):
        pid = int(_PID_FILE.read_text())
        os.kill(pid, 0)
        return pid
    return None


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder so that everybody can read it, as a container's user has to."""
    for file in source.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())


def torch_index() -> str:
    """Return the index for torch: PyTorch's, or pip's own if that is out of reach."""
    asked = ["curl", "--silent", "--fail", "--head", "--max-time", "5", _CPU_TORCH]
    answers = subprocess.run(asked, check=False, stdout=subprocess.DEVNULL).returncode == 0  # noqa: S603 (our own command)
    return _CPU_TORCH.removesuffix("torch/") if answers else ""


def _docker() -> str | None:
    """Return the first client that works with the engine; several may be installed."""
    for folder in os.environ["PATH"].split(os.pathsep):
        client = shutil.which("docker", path=folder)
        if client and "Server" in run((client, "version"), check=False):
            return client
    return None


def _compose(docker: str) -> tuple[str, ...] | None:
    if "version" in run((docker, "compose", "version"), check=False):
        return (docker, "compose")
    client = shutil.which("docker-compose")
    return (client,) if client else None


def _can_pull() -> bool:
    asked = ["curl", "--silent", "--max-time", "5", "https://registry-1.docker.io/v2/"]
    return subprocess.run(asked, check=False, stdout=subprocess.DEVNULL).returncode == 0  # noqa: S603 (our own command)


def _is_there(engine: Engine, image: str) -> bool:
    for ask in (("image", "inspect", image), ("pull", "--quiet", image)):
        with suppress(AssertionError, subprocess.TimeoutExpired):
            engine.run(*ask, limit_s=_BUILD_LIMIT_S)
            return True
    return False


def run(command: Sequence[str], *, limit_s: float = _LIMIT_S, check: bool = True) -> str:
    """Run a command; return its standard output.

    Raises:
        AssertionError: It failed; the text has what it said.
    """
    ended = subprocess.run(  # noqa: S603 (our own command)
        command,
        # The classic builder is in every engine; Compose 1.29 would look for a newer one.
        env={**os.environ, "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"},
        check=False,
        capture_output=True,
        text=True,
        timeout=limit_s,
    )
    said = (ended.stdout + ended.stderr)[-4000:]
    assert not check or ended.returncode == 0, f"{' '.join(command)}: {said}"
    return ended.stdout
