"""Cold starts: from starting a process until it can be used."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Final

from benchmarks import material
from benchmarks.engine import running_engine
from benchmarks.outcome import Outcome, Table
from benchmarks.plan import Configuration, Plan
from benchmarks.progress import say
from benchmarks.system import System, running_broker, settings_for
from common.settings import Runtime
from embedded.programs import Program
from embedded.readiness import ask, listens
from embedded.settings import ROOT
from engine.models.places import Places
from tests.servers import free_port
from tests.waiting import wait_for

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_SERVERS: Final = ("", "MONGO_", "AMQP_", "MANAGEMENT_", "DIST_", "EPMD_")


def run(plan: Plan) -> Outcome:
    """Start every role, the engine by every runtime, and the whole system, some times each."""
    where = material.places(plan.folder)
    material.write_model(plan.model, where)
    # With nowhere an export yet: a folder for weights that nobody used.
    first = Places(where.models, plan.folder / "first")
    times_s = {"engine: ready, onnx, with its export": [_engine_s(plan.model, first, "onnx")]}
    _engine_s(plan.model, where, "onnx")  # what follows finds an export
    for _ in range(1 if plan.quick else 3):
        for name, took_s in _starts(plan):
            say(f"  {name}: {took_s:.1f} s")
            times_s.setdefault(name, []).append(took_s)
    caption = f"Cold starts, s: from the start of the process to its first use; {plan.model}"
    rows = list(times_s.items())
    table = Table(caption=caption, head=("what", "s"), rows=rows, chart="s")
    return Outcome(part="start", tables=(table,))


def _starts(plan: Plan) -> Iterator[tuple[str, float]]:
    settings = settings_for(plan.model, plan.folder)
    folder = plan.folder / f"start-{time.monotonic_ns()}"
    with ExitStack() as stack:
        started_s = time.perf_counter()
        broker = stack.enter_context(running_broker(folder / "rabbitmq"))
        yield "RabbitMQ, with its port mapper", time.perf_counter() - started_s
        system = System(folder / "system", broker, settings)
        [consumer] = system.consumers(Configuration(runtime="onnx"))
        roles: dict[str, tuple[Program, Callable[[], bool]]] = {
            "store": (system.store.program(), lambda: True),
            "nginx": (system.nginx(), lambda: listens(system.port)),
            "API: first answer": (system.api(), lambda: _is_healthy(system.port)),
            "courier: ready": (system.courier(), lambda: _said(system, "courier", "ready")),
            "consumer with its engine: consuming": (
                consumer, lambda: _said(system, consumer.name, "consuming"),
            ),
        }  # fmt: skip
        for name, (program, is_ready) in roles.items():
            started_s = time.perf_counter()
            stack.enter_context(system.running(program))
            wait_for(is_ready, within_s=120, what=f"{program.name} is ready")
            yield name, time.perf_counter() - started_s
    runtimes: tuple[Runtime, ...] = ("onnx", "torch")
    for runtime in runtimes:
        took_s = _engine_s(plan.model, material.places(plan.folder), runtime)
        yield f"engine: ready, {runtime}", took_s
    yield "./start.sh -d: ready", _whole_s(folder / "whole", settings)


def _is_healthy(port: int) -> bool:
    return ask(port, "/healthz")[0] == HTTPStatus.OK


def _said(system: System, name: str, word: str) -> bool:
    """Tell whether a role logged *word*."""
    printed = _COLOURS.sub("", system.log(name).read_text(errors="replace"))
    return any(word in line.split() for line in printed.splitlines())


def _engine_s(model: str, where: Places, runtime: Runtime) -> float:
    started_s = time.perf_counter()
    with running_engine(model, where, runtime=runtime):
        return time.perf_counter() - started_s


def _whole_s(folder: Path, settings: dict[str, str]) -> float:
    """Start a whole system as a user does, with the exports that are there."""
    theirs = ("DARKROOM_MONGO_URL", "DARKROOM_AMQP_URL")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in theirs},
        **settings,
        "DARKROOM_MODELS": settings["DARKROOM_MODELS"].split(",")[0],
        "DARKROOM_STATE_DIR": str(folder),
        **{f"DARKROOM_{server}PORT": str(free_port()) for server in _SERVERS},
    }
    try:
        started_s = time.perf_counter()
        _embedded(environment, "up", "-d")
        return time.perf_counter() - started_s
    finally:
        _embedded(environment, "stop")


def _embedded(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "embedded", *arguments],
        env=environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
        start_new_session=True,
    )
