"""The service at saturation: images a second, and what each role takes for one of them.

Configurations take turns in every round, among them one engine alone, asked by this process.
Each turn starts its own consumers; the servers, the API and the courier stay.
"""

from pathlib import Path
from typing import Final

from benchmarks import engine, material
from benchmarks import service_tables as tables
from benchmarks.clients import Order, Report, flood
from benchmarks.load import do
from benchmarks.outcome import Outcome
from benchmarks.plan import Configuration, Plan
from benchmarks.progress import say
from benchmarks.saturation import saturate
from benchmarks.system import System, model_of, running_system, settings_for
from benchmarks.traffic import bytes_a_job

_ALONE_S: Final = 2.0


def run(plan: Plan) -> Outcome:
    """Measure every configuration in rounds, then memory, then the bytes that go around."""
    where = material.places(plan.folder)
    material.write_model(plan.model, where)
    material.write_eager_model(plan.model, where)
    image = plan.folder / "image.jpg"
    image.write_bytes(material.photograph(plan.size))
    memory_jobs = 100 if plan.quick else 1000
    with running_system(plan.folder / "service", settings_for(plan.model, plan.folder)) as system:
        rounds = _rounds(system, plan, image)
        one = Configuration(runtime="onnx")
        memory = saturate(system, one, plan, image, jobs=memory_jobs).at_the_end
        accepted = _accepted_while_saturated(system, plan, image)
    return Outcome(
        part="service",
        tables=(
            tables.speeds(rounds),
            tables.processor_time(rounds),
            tables.acceptance(accepted),
            tables.memory(memory, memory_jobs),
            tables.carried(bytes_a_job(plan, image)),
        ),
        targets=(
            *tables.targets(rounds, plan.configurations[0]),
            *tables.targets_in_memory(memory, memory_jobs),
        ),
    )


def _rounds(system: System, plan: Plan, image: Path) -> tables.Rounds:
    rounds = tables.Rounds(turns={one: [] for one in plan.configurations})
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
        work=flood,
        url=system.url,
        image=image,
        model=model_of(first, plan.model),
        clients=plan.clients,
        for_s=plan.flood_s,
    )
    with system.consuming(first):
        return do(order)
