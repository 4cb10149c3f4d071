"""The service at saturation: images a second, and what each role takes for one of them.

Configurations take turns in every round, among them one engine alone, asked by this process.
Each turn starts its own consumers; the servers, the API and the courier stay.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import engine, material
from benchmarks import service_tables as tables
from benchmarks.figures import percentile
from benchmarks.load import Order, Report, do
from benchmarks.outcome import Outcome
from benchmarks.plan import Configuration, Plan
from benchmarks.progress import say
from benchmarks.saturation import Turn, saturate
from benchmarks.service_tables import Rounds
from benchmarks.system import (
    System,
    cores_in_use,
    model_of,
    running_system,
    settings_for,
)
from benchmarks.traffic import bytes_a_job

_ALONE_S: Final = 2.0


def run(plan: Plan) -> Outcome:
    """Measure every configuration in rounds, then memory, then the bytes that go around."""
    where = material.places(plan.folder)
    material.write_model(plan.model, where)
    material.write_eager_model(plan.model, where)
    image = plan.folder / "image.jpg"
    image.write_bytes(material.photograph(plan.size))
    with running_system(plan.folder / "service", settings_for(plan.model, plan.folder)) as system:
        rounds = _rounds(system, plan, image)
        one = Configuration(runtime="onnx")
        memory = saturate(system, one, plan, image, jobs=plan.memory_jobs)
        accepted = _accepted_while_saturated(system, plan, image)
    carried = bytes_a_job(plan, image)
    return Outcome(
        part="service",
        tables=(
            tables.speeds(rounds),
            tables.processor_time(rounds),
            tables.acceptance(accepted),
            tables.memory(memory, plan.memory_jobs),
            tables.carried(carried),
        ),
        targets=tuple(tables.targets(rounds, plan.configurations[0], memory, plan.memory_jobs)),
        figures={
            "cores": cores_in_use(),
            "one engine alone, images/s": rounds.alone,
            "turns": {
                str(one): [_in_short(turn) for turn in turns] for one, turns in rounds.turns.items()
            },
            "POST while saturated": {
                "a second": accepted.posts_a_second,
                "ms": _in_few(accepted.posts_ms),
            },
            "memory": {"jobs": plan.memory_jobs, **_in_short(memory)},
            "bytes a job": carried,
        },
    )


def _rounds(system: System, plan: Plan, image: Path) -> Rounds:
    rounds = Rounds(turns={one: [] for one in plan.configurations})
    where = material.places(plan.folder)
    for number in range(plan.rounds):
        say(f"  round {number + 1} of {plan.rounds}")
        alone = engine.images_a_second(plan.model, where, image.read_bytes(), for_s=_ALONE_S)
        rounds.alone.append(alone)
        for one in plan.configurations if number % 2 else reversed(plan.configurations):
            rounds.turns[one].append(saturate(system, one, plan, image, jobs=plan.jobs))
    return rounds


def _accepted_while_saturated(system: System, plan: Plan, image: Path) -> Report:
    """Post as fast as posts are accepted while the engines have more than they can do.

    The last thing that is done to a system: a backlog stays.
    """
    first = plan.configurations[0]
    order = Order(
        kind="flood",
        url=system.url,
        image=str(image),
        model=model_of(first, plan.model),
        clients=plan.clients,
        for_s=plan.flood_s,
    )
    with system.consuming(first):
        return do(order)


def _in_short(turn: Turn) -> dict[str, object]:
    """Leave out the single requests."""
    kept = asdict(turn)
    for name in ("posts_ms", "gets_ms"):
        kept[name] = _in_few(kept[name])
    return kept | {"overhead_ms": turn.overhead_ms}


def _in_few(values: Sequence[float]) -> dict[str, float]:
    return {"median": median(values), "p95": percentile(values, 95)}
