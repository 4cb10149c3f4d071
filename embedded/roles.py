"""Our own roles: the api under uWSGI, consumers, and a courier."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from embedded.programs import HOST, Port, Program, Stage
from embedded.readiness import listens

_UWSGI_INI: Final = Path(__file__).parent.parent / "uwsgi.ini"


def api(port: int, environment: Mapping[str, str], *, grace_s: float) -> Program:
    return Program(
        name="api",
        role="api",
        stage=Stage.API,
        command=(str(Path(sys.executable).with_name("uwsgi")), "--ini", str(_UWSGI_INI)),
        environment={**environment, "DARKROOM_API_BIND": f"{HOST}:{port}"},
        ports=(Port(port, "DARKROOM_API_PORT"),),
        is_ready=lambda: listens(port),
        needed_by=Stage.FRONT,
        stop_within_s=_longer_than(grace_s),
    )


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
    """Give a role its grace period, and a little more to close its connections."""
    return int(grace_s) + 5
