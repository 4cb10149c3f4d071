"""The parts of a system, each with its own port and folder."""

import uuid
from pathlib import Path
from typing import Final

from standalone.nginx import REQUEST_LIMIT_S, StandaloneNginx
from standalone.sockets import socket_path
from standalone.store import StandaloneStore
from testbed.ports import free_port

_MAX_BODY_BYTES: Final = 20 * 1024**2


def make_store(folder: Path) -> StandaloneStore:
    """Prepare a store that writes to *folder*."""
    store = StandaloneStore(folder=folder, port=free_port())
    store.prepare()
    return store


def api_socket(folder: Path) -> Path:
    """Return the socket on which the API of a system in *folder* listens."""
    return socket_path(folder / "run" / "api.sock")


def make_nginx(folder: Path, *, request_limit_s: int = REQUEST_LIMIT_S) -> StandaloneNginx:
    """Prepare the nginx of a system in *folder*, in front of its API."""
    nginx = StandaloneNginx(
        folder=folder / "nginx",
        port=free_port(),
        api_socket=api_socket(folder),
        request_limit_s=request_limit_s,
        max_body_bytes=_MAX_BODY_BYTES,
    )
    nginx.prepare()
    return nginx


def role_settings(
    folder: Path, *, amqp_url: str, mongo_url: str, **settings: str
) -> dict[str, str]:
    """Return the settings of roles that write to *folder* and use their own database."""
    return {
        "DARKROOM_AMQP_URL": amqp_url,
        "DARKROOM_MONGO_URL": mongo_url,
        "DARKROOM_MONGO_DATABASE": f"test-{uuid.uuid4().hex}",
        "DARKROOM_STATE_DIR": str(folder),
        **settings,
    }
