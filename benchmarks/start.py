"""Cold starts: from the start of a process until it is usable."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks import material
from benchmarks.alone import running_engine
from benchmarks.plan import Configuration, Plan
from benchmarks.report import say
from benchmarks.result import PartResult, Table
from benchmarks.system import System, running_broker, settings_for
from common.settings.consumer import Runtime
from engine.models.paths import ModelPaths
from standalone.readiness import listens
from standalone.settings import ROOT
from testbed.ports import free_port

_LOOK_AGAIN_S: Final = 0.005
_WITHIN_S: Final = 120
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_SERVERS: Final = ("", "MONGO_", "AMQP_", "MANAGEMENT_", "DIST_", "EPMD_")
_RUNTIMES: Final[tuple[Runtime, ...]] = ("onnx", "torch")


def run(plan: Plan) -> PartResult:
    """Start every role, the engine with every runtime, and the complete system, some times each."""
    where = material.paths(plan.folder)
    material.write_model(plan.model, where)
    # With nowhere an export yet: a folder for weights that nobody used.
    first = ModelPaths(where.models, plan.folder / "first")
    times_s = {"engine: ready, onnx, with its export": [_engine_s(plan.model, first, "onnx")]}
    _engine_s(plan.model, where, "onnx")  # what follows finds an export
    for _ in range(1 if plan.quick else 3):
        for name, took_s in _starts(plan):
            say(f"  {name}: {took_s:.1f} s")
            times_s.setdefault(name, []).append(took_s)
    caption = f"Cold starts, s: from the start of the process to its first use; {plan.model}"
    rows = list(times_s.items())
    table = Table(caption=caption, head=("what", "s"), rows=rows)
    return PartResult(part="start", tables=(table,))


def _starts(plan: Plan) -> Iterator[tuple[str, float]]:
    settings = settings_for(plan.model, plan.folder)
    folder = plan.folder / f"start-{time.monotonic_ns()}"
    with ExitStack() as stack:
        started_s = time.perf_counter()
        broker = stack.enter_context(running_broker(folder / "rabbitmq"))
        yield "RabbitMQ, with its port mapper", time.perf_counter() - started_s
        system = System(folder / "system", broker, settings)
        [consumer] = system.consumers(Configuration(runtime="onnx"))
        programs = system.programs | {"consumer": consumer}
        are_ready: dict[str, tuple[str, Callable[[], bool]]] = {
            "store": ("store", lambda: True),
            "nginx": ("nginx", lambda: listens(system.nginx.port)),
            "api": ("API: first answer", system.answers),
            "courier": ("courier: ready", lambda: _said(system, "courier", "ready")),
            "consumer": (
                "consumer with its engine: consuming",
                lambda: _said(system, consumer.name, "consuming"),
            ),
        }
        for role, (what, is_ready) in are_ready.items():
            started_s = time.perf_counter()
            stack.enter_context(system.running(programs[role]))
            while not is_ready():
                if time.perf_counter() > started_s + _WITHIN_S:
                    raise TimeoutError(f"not after {_WITHIN_S} s: {what}")
                time.sleep(_LOOK_AGAIN_S)
            yield what, time.perf_counter() - started_s
    for runtime in _RUNTIMES:
        took_s = _engine_s(plan.model, material.paths(plan.folder), runtime)
        yield f"engine: ready, {runtime}", took_s
    yield "./start.sh -d: ready", _whole_s(folder / "whole", settings)


def _said(system: System, name: str, word: str) -> bool:
    """Return whether a role logged *word*."""
    return word in _COLOURS.sub("", system.log(name).read_text(errors="replace")).split()


def _engine_s(model: str, where: ModelPaths, runtime: Runtime) -> float:
    started_s = time.perf_counter()
    with running_engine(model, where, runtime=runtime):
        return time.perf_counter() - started_s


def _whole_s(folder: Path, settings: dict[str, str]) -> float:
    """Start a complete system as a user does, with existing exports."""
    theirs = ("DARKROOM_MONGO_URL", "DARKROOM_AMQP_URL")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in theirs},
        **settings,
        "DARKROOM_MODELS": settings["DARKROOM_MODELS"].split(",")[0],
        "DARKROOM_STATE_DIR": str(folder),
        **{f"DARKROOM_{server}PORT": str(free_port()) for server in _SERVERS},
    }

    def standalone(*arguments: str) -> None:
        command = [sys.executable, "-m", "standalone", *arguments]
        quiet = subprocess.DEVNULL
        subprocess.run(  # noqa: S603 (our own command)
            command, env=environment, cwd=ROOT, stdin=quiet, stdout=quiet, check=True,
            start_new_session=True,
        )  # fmt: skip

    try:
        started_s = time.perf_counter()
        standalone("up", "-d")
        return time.perf_counter() - started_s
    finally:
        standalone("stop")
