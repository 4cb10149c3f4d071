"""Cold starts: from starting a process until it can be used."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from benchmarks import material
from benchmarks.engine import running_engine
from benchmarks.figures import spread
from benchmarks.outcome import Outcome, Table
from benchmarks.plan import Configuration, Plan
from benchmarks.progress import say
from benchmarks.system import System, running_broker, settings_for
from common.settings.consumer import Runtime
from embedded.programs import Program
from embedded.readiness import ask, listens
from embedded.settings import ROOT
from engine.models.places import Places
from testbed.ports import free_port

_LOOK_AGAIN_S: Final = 0.005
_WITHIN_S: Final = 120.0
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")

Start = Callable[[], float]


def run(plan: Plan) -> Outcome:
    """Start every role, the engine by every runtime, and the whole system, some times each."""
    where = material.places(plan.folder)
    material.write_model(plan.model, where)
    # With nowhere an export yet: a folder for weights that nobody used.
    first = Places(where.models, plan.folder / "first")
    times_s = {"engine: ready, onnx, with its export": [_engine_s(plan.model, first, "onnx")]}
    _engine_s(plan.model, where, "onnx")  # what follows finds an export
    for _ in range(plan.starts):
        for name, took_s in _starts(plan):
            say(f"  {name}: {took_s:.1f} s")
            times_s.setdefault(name, []).append(took_s)
    rows = tuple((name, str(spread(values))) for name, values in times_s.items())
    caption = f"Cold starts, s: from the start of the process to its first use; {plan.model}"
    return Outcome(
        part="start",
        tables=(Table(caption=caption, head=("what", "s"), rows=rows),),
        figures={"s": times_s},
    )


def _starts(plan: Plan) -> Iterator[tuple[str, float]]:
    settings = settings_for(plan.model, plan.folder)
    folder = plan.folder / f"start-{time.monotonic_ns()}"
    with ExitStack() as stack:
        started_s = time.perf_counter()
        broker = stack.enter_context(running_broker(folder / "rabbitmq"))
        yield "RabbitMQ, with its port mapper", time.perf_counter() - started_s
        system = System(folder / "system", broker, settings)
        role = partial(_started, system, stack)
        yield "store", role(system.store.program())
        yield "nginx", role(system.nginx(), lambda: listens(system.port))
        yield "API: first answer", role(system.api(), lambda: _answers(system.port, "/healthz"))
        yield "courier: ready", role(system.courier(), lambda: _said(system, "courier", "ready"))
        [consumer] = system.consumers(Configuration(runtime="onnx"))
        ready = partial(_said, system, consumer.name, "consuming")
        yield "consumer with its engine: consuming", role(consumer, ready)
    for runtime in ("onnx", "torch"):
        yield (
            f"engine: ready, {runtime}",
            _engine_s(plan.model, material.places(plan.folder), runtime),
        )
    yield "./start.sh -d: ready", _whole_s(folder / "whole", settings)


def _started(
    system: System, stack: ExitStack, program: Program, is_ready: Callable[[], bool] = lambda: True
) -> float:
    started_s = time.perf_counter()
    stack.enter_context(system.running(program))
    deadline_s = started_s + _WITHIN_S
    while not is_ready():
        if time.perf_counter() > deadline_s:
            raise TimeoutError(f"{program.name} is not ready after {_WITHIN_S} s")
        time.sleep(_LOOK_AGAIN_S)
    return time.perf_counter() - started_s


def _answers(port: int, path: str) -> bool:
    return ask(port, path)[0] == HTTPStatus.OK


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
    environment = {
        **{name: value for name, value in os.environ.items() if not _is_address(name)},
        **settings,
        "DARKROOM_MODELS": settings["DARKROOM_MODELS"].split(",")[0],
        "DARKROOM_STATE_DIR": str(folder),
        **_ports(),
    }
    try:
        started_s = time.perf_counter()
        _embedded(environment, "up", "-d")
        return time.perf_counter() - started_s
    finally:
        _embedded(environment, "stop")


def _is_address(name: str) -> bool:
    return name in ("DARKROOM_MONGO_URL", "DARKROOM_AMQP_URL") or name.endswith("_PORT")


def _ports() -> dict[str, str]:
    roles = ("", "API_", "MONGO_", "AMQP_", "MANAGEMENT_", "DIST_", "EPMD_")
    return {f"DARKROOM_{role}PORT": str(free_port()) for role in roles}


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
