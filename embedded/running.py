"""What a running system tells about itself, to people and to programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

from embedded.files import write_private
from embedded.programs import HOST
from embedded.readiness import ask
from embedded.supervision import Process

NOTHING_RUNS: Final[Mapping[str, Any]] = {"running": False, "ready": False, "roles": {}}

_FILE: Final = Path("run/system.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the system answers; kept while it runs, whatever the settings say later."""

    port: int
    management: Mapping[str, str] | None = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def keep(self) -> None:
        write_private(_FILE, json.dumps(asdict(self)))

    @classmethod
    def kept(cls) -> Self | None:
        with suppress(FileNotFoundError):
            return cls(**json.loads(_FILE.read_text()))
        return None

    def is_ready(self) -> bool:
        return ask(self.port, "/readyz")[0] == HTTPStatus.OK


def greeting(addresses: Addresses, resnet18: str) -> str:
    """Say what can be done with the system now."""
    url = addresses.url
    lines = [
        "",
        f"Darkroom is ready: {url}/",
        "",
        "Hand in an image, and ask for its labels by the id in the answer:",
        f"  curl -F image=@models/digits/samples/7.png {url}/jobs",
        f"  curl {url}/jobs/ID",
        "",
        *_management_lines(addresses.management),
        resnet18,
        "More: ./start.sh status, ./start.sh logs -f, ./start.sh stop",
    ]
    return "\n".join(lines)


def about_resnet18(models: Sequence[str], obstacle: str) -> str:
    """Say how a model of ImageNet's thousand classes is served, or why it cannot be."""
    if "resnet18" in models:
        return "Served models: " + ", ".join(models)
    if obstacle:
        return f"resnet18 cannot be served here: its weights are missing, and {obstacle}"
    with_it = ",".join([*models, "resnet18"])
    return f"To serve resnet18 too: ./start.sh stop, then DARKROOM_MODELS={with_it} ./start.sh"


def _management_lines(management: Mapping[str, str] | None) -> list[str]:
    if management is None:
        return []
    return [
        f"RabbitMQ's management UI: {management['url']} "
        f"(user {management['user']}, password {management['password']})"
    ]


def status_document(
    processes: Iterable[Process], *, supervisor: int | None, addresses: Addresses | None
) -> dict[str, Any]:
    """Describe the system for programs: process ids by role, and where it answers."""
    roles: dict[str, list[int]] = {}
    for process in processes:
        if process.pid:
            roles.setdefault(process.role, []).append(process.pid)
    return {
        "running": True,
        "ready": addresses is not None and addresses.is_ready(),
        "url": addresses and addresses.url,
        "management": addresses and addresses.management,
        "supervisor": supervisor,
        "roles": roles,
    }


def status_table(processes: Iterable[Process]) -> str:
    """Describe the programs for people."""
    return "\n".join(
        f"{process.name:<14}{process.state.lower():<12}{process.pid or '':<10}"
        for process in processes
    )
