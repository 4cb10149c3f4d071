"""The state of the running system, asked from the system itself rather than read from settings."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Self

from pydantic import SecretStr

from common.errors import DarkroomError
from common.mongo.stores import opened_stores
from common.settings.base import RoleSettings
from standalone.addresses import Addresses
from standalone.readiness import ask

_QUEUE: Final = "/api/queues/%2F/darkroom.classify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The state of the system; None where unknown.

    Args:
        obstacle: Why a job submitted now would not be classified; empty if it would.
        models: As in ``GET /models``.
        queue_depth: Messages that wait in the queue.
        oldest_waiting_s: How long the oldest unclaimed job has waited.
        uptime_s: Since the start of the supervisor.
    """

    obstacle: str = "the API does not answer yet"
    models: Sequence[Mapping[str, Any]] = ()
    queue_depth: int | None = None
    oldest_waiting_s: float | None = None
    uptime_s: float | None = None

    @property
    def is_ready(self) -> bool:
        return not self.obstacle

    @property
    def is_loading(self) -> bool:
        """Whether some model may be ready in a moment."""
        return any(model["state"] == "loading" for model in self.models)

    @classmethod
    def ask(cls, addresses: Addresses, *, uptime_s: float | None) -> Self:
        """Ask the system at *addresses*."""
        status, answer = ask(addresses.port, "/readyz")
        return cls(
            obstacle="" if status == HTTPStatus.OK else str(answer.get("detail", status)),
            models=ask(addresses.port, "/models")[1].get("models", []),
            queue_depth=_queue_depth(addresses.management),
            oldest_waiting_s=_oldest_waiting_s(addresses),
            uptime_s=uptime_s,
        )


def _queue_depth(management: Mapping[str, str] | None) -> int | None:
    if management is None:
        return None
    login = b64encode(f"{management['user']}:{management['password']}".encode()).decode()
    port = int(management["url"].rstrip("/").rpartition(":")[2])
    _, answer = ask(port, _QUEUE, headers={"Authorization": f"Basic {login}"})
    depth = answer.get("messages_ready")
    return depth if isinstance(depth, int) else None


def _oldest_waiting_s(addresses: Addresses) -> float | None:
    settings = RoleSettings(
        mongo_url=SecretStr(addresses.mongo_url), mongo_database=addresses.mongo_database
    )
    with suppress(DarkroomError), opened_stores(settings) as stores:
        since_ms = stores.jobs.oldest_waiting_ms()
        return None if since_ms is None else max(0.0, (stores.now_ms() - since_ms) / 1000)
    return None
