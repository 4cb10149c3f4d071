"""Our own roles: the API under uWSGI, consumers and a courier."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from standalone.programs import Program, Stage
from standalone.readiness import listens_at

_SOMAXCONN: Final = Path("/proc/sys/net/core/somaxconn")
_USUAL_BACKLOG: Final = 100
_LONGEST_BACKLOG: Final = 1024

_UWSGI_INI: Final = Path(__file__).parent.parent / "uwsgi.ini"


def api(socket: Path, environment: Mapping[str, str], *, grace_s: float) -> Program:
    return Program(
        name="api",
        role="api",
        stage=Stage.API,
        command=(str(Path(sys.executable).with_name("uwsgi")), "--ini", str(_UWSGI_INI)),
        environment={
            **environment,
            "DARKROOM_API_BIND": str(socket),
            "DARKROOM_API_BACKLOG": str(_backlog()),
        },
        is_ready=lambda: listens_at(socket),
        needed_by=Stage.FRONT,
        stop_within_s=_longer_than(grace_s),
    )


def _backlog() -> int:
    """Return how many requests may wait at the API's socket: the kernel's limit."""
    try:
        most = int(_SOMAXCONN.read_text())
    except OSError:  # not on Linux
        return _USUAL_BACKLOG
    return min(most, _LONGEST_BACKLOG)


def consumers(count: int, environment: Mapping[str, str], *, grace_s: float) -> list[Program]:
    return [
        Program(
            name=f"consumer-{number}",
            role="consumer",
            stage=Stage.WORKERS,
            command=(sys.executable, "-m", "consumer"),
            environment=environment,
            stop_within_s=_longer_than(grace_s),
        )
        for number in range(1, count + 1)
    ]


def courier(environment: Mapping[str, str], *, grace_s: float) -> Program:
    return Program(
        name="courier",
        role="courier",
        stage=Stage.WORKERS,
        command=(sys.executable, "-m", "courier"),
        environment=environment,
        stop_within_s=_longer_than(grace_s),
    )


def _longer_than(grace_s: float) -> int:
    """Return the time that a role may take to stop: its grace period and a little more."""
    return int(grace_s) + 5
