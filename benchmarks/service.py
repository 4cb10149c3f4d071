"""The service at saturation: images per second, and the cost of one by role.

Configurations take turns in every round, among them one engine alone, asked by this process.
Each turn starts its own consumers; the servers, the API and the courier stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import alone, material
from benchmarks.figures import median_and_p95, ratio, spread
from benchmarks.load import Order, Report, do, flood
from benchmarks.plan import Configuration, Plan
from benchmarks.report import say
from benchmarks.result import Cell, PartResult, Table, Target, at_least, at_most
from benchmarks.saturation import ROLES, Turn, bytes_per_job, saturate
from benchmarks.system import System, model_of, running_system, settings_for
from common.cores import available_cores
from testbed.usage import ENGINE, Usage

_ALONE_S: Final = 2.0
_MOST_OVERHEAD_MS: Final = 6.0
_LEAST_OF_CORES: Final = 0.75
_LEAST_OF_EAGER: Final = 1.3
_MOST_CONSUMER_MB: Final = 330
_MOST_WORKER_MB: Final = 80

Turns = Mapping[Configuration, Sequence[Turn]]


def run(plan: Plan) -> PartResult:
    """Measure every configuration in rounds, then memory, then bytes on the network."""
    where = material.paths(plan.folder)
    material.write_model(plan.model, where)
    material.write_eager_model(plan.model, where)
    image = plan.folder / "image.jpg"
    image.write_bytes(material.photograph(plan.size))
    memory_jobs = 100 if plan.quick else 1000
    one = Configuration(runtime="onnx")
    with running_system(plan.folder / "service", settings_for(plan.model, plan.folder)) as system:
        engine, turns = _rounds(system, plan, image)
        memory = saturate(system, one, plan, image, jobs=memory_jobs).at_the_end
        accepted = _accepted_while_saturated(system, plan, image)
    carried = bytes_per_job(plan, image)
    return PartResult(
        part="service",
        tables=(
            _saturated(engine, turns),
            _processor_time(turns),
            _accepted(accepted),
            _memory(memory, memory_jobs),
            _carried(carried),
        ),
        targets=(
            *_targets(engine, turns, plan.configurations[0]),
            *_targets_in_memory(memory, memory_jobs),
        ),
    )


def _rounds(system: System, plan: Plan, image: Path) -> tuple[Sequence[float], Turns]:
    """Return the images per second of one engine alone, and the turns of all configurations."""
    engine, where = [], material.paths(plan.folder)
    turns: dict[Configuration, list[Turn]] = {one: [] for one in plan.configurations}
    for number in range(plan.rounds):
        say(f"  round {number + 1} of {plan.rounds}")
        asked = image.read_bytes()
        engine.append(alone.images_per_second(plan.model, where, asked, for_s=_ALONE_S))
        for one in turns if number % 2 else reversed(turns):
            turns[one].append(saturate(system, one, plan, image, jobs=plan.jobs))
    return engine, turns


def _accepted_while_saturated(system: System, plan: Plan, image: Path) -> Report:
    """Post as fast as posts are accepted while the engines are overloaded.

    The last thing that is done to a system: a backlog stays.
    """
    first = plan.configurations[0]
    order = Order(
        work=flood, url=system.url, image=image, model=model_of(first, plan.model),
        clients=plan.clients, for_s=plan.flood_s,
    )  # fmt: skip
    with system.consuming(first):
        return do(order)


def _saturated(engine: Sequence[float], turns: Turns) -> Table:
    return Table(
        caption="The service, saturated",
        head=(
            "consumers x engines", "engines seen", "images/s", "of one engine alone",
            "POST, ms: median (p95)", "GET, ms: median (p95)", "GETs a job",
        ),
        rows=[
            ("one engine alone", 1, engine, 1, "", "", ""),
            *(_speed(str(one), those, engine) for one, those in turns.items()),
        ],
    )  # fmt: skip


def _processor_time(turns: Turns) -> Table:
    return Table(
        caption="Processor time by role, ms a job; the service: nginx, API, RabbitMQ, consumer "
        "parent, courier",
        head=("consumers x engines", *ROLES, "the service"),
        rows=[
            (
                str(one),
                *([turn.cpu_ms.get(role, 0.0) for turn in those] for role in ROLES),
                [turn.overhead_ms for turn in those],
            )
            for one, those in turns.items()
        ],
    )


def _accepted(report: Report) -> Table:
    return Table(
        caption="Images accepted while the engines have more than they can do",
        head=("accepted/s", "POST, ms: median (p95)", "refused"),
        rows=[(report.posts_a_second, median_and_p95(report.posts_ms), report.refused)],
    )


def _carried(figures: Mapping[str, float]) -> Table:
    return Table(
        caption="Bytes a job, over the network",
        head=("what", "bytes"),
        rows=[(name, round(value)) for name, value in figures.items()],
    )


def _speed(name: str, turns: Sequence[Turn], engine: Sequence[float]) -> Sequence[Cell]:
    return (
        name,
        max(turn.at_the_end[ENGINE].processes for turn in turns),
        _speeds(turns),
        ratio(_speeds(turns), engine),
        median_and_p95([ms for turn in turns for ms in turn.posts_ms]),
        median_and_p95([ms for turn in turns for ms in turn.gets_ms]),
        median(turn.gets_per_job for turn in turns),
    )


def _speeds(turns: Sequence[Turn]) -> list[float]:
    return [turn.images_per_second for turn in turns]


def _memory(used: Mapping[str, Usage], jobs: int) -> Table:
    rows = [(role, used[role].resident_mb, used[role].largest_mb) for role in ROLES if role in used]
    return Table(
        caption=f"Memory by role, MB resident after {jobs} jobs; one consumer, one engine",
        head=("role", "all processes", "the largest"),
        rows=[(role, round(resident), round(largest)) for role, resident, largest in rows],
    )


def _targets(engine: Sequence[float], all_turns: Turns, first: Configuration) -> Iterator[Target]:
    turns, cores = all_turns[first], available_cores()
    overhead = spread(turn.overhead_ms for turn in turns)
    what = (
        f"service: at most {_MOST_OVERHEAD_MS:g} ms of processor time a job for nginx, API, "
        "RabbitMQ, consumer parent and courier"
    )
    yield at_most(what, _MOST_OVERHEAD_MS, overhead.median, f"{overhead} ms")
    possible = [one * (cores - turn.cpu_share) for one, turn in zip(engine, turns, strict=True)]
    what = (
        f"service ({first}): at least {_LEAST_OF_CORES} of what engines alone do on the cores "
        f"that the rest leaves free, of {cores}"
    )
    yield at_least(what, _LEAST_OF_CORES, ratio(_speeds(turns), possible))
    for one, others in all_turns.items():
        if one.runtime == "eager":
            what = f"service ({first}): at least {_LEAST_OF_EAGER} times itself with eager torch"
            yield at_least(what, _LEAST_OF_EAGER, ratio(_speeds(turns), _speeds(others)))


def _targets_in_memory(used: Mapping[str, Usage], jobs: int) -> Iterator[Target]:
    consumer_mb = used["consumer"].resident_mb + used[ENGINE].resident_mb
    what = f"memory: consumer and engine at most {_MOST_CONSUMER_MB} MB after {jobs} jobs"
    yield at_most(what, _MOST_CONSUMER_MB, consumer_mb, f"{consumer_mb:.0f} MB")
    worker_mb = used["api"].largest_mb
    what = f"memory: an API worker at most {_MOST_WORKER_MB} MB after {jobs} jobs and more"
    yield at_most(what, _MOST_WORKER_MB, worker_mb, f"{worker_mb:.0f} MB")
