"""The service at saturation: images a second, and what each role takes for one of them.

Configurations take turns in every round, among them one engine alone, asked by this process.
Each turn starts its own consumers; the servers, the API and the courier stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import engine, material, roles
from benchmarks.figures import Spread, percentile, ratio, short, spread
from benchmarks.load import Order, Report, at_work, do
from benchmarks.outcome import Outcome, Table, Target
from benchmarks.plan import Configuration, Plan
from benchmarks.proxy import Counts, counting
from benchmarks.system import (
    System,
    cores_in_use,
    model_of,
    running_broker,
    running_system,
    settings_for,
)

LOAD: Final = "load generator"
_ROLES: Final = ("nginx", "api", "rabbitmq", "consumer", "engine", "courier", "store", LOAD)
_OVERHEAD: Final = ("nginx", "api", "rabbitmq", "consumer", "courier")
_ALONE_S: Final = 2.0
_WARM_UP_JOBS: Final = 16
_BYTES_JOBS: Final = 60

# What is wished for.
_MOST_OVERHEAD_MS: Final = 6.0
_LEAST_OF_CORES: Final = 0.75
_LEAST_OF_EAGER: Final = 1.3
_MOST_CONSUMER_MB: Final = 330
_MOST_WORKER_MB: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One configuration under load, once.

    Args:
        engines: How many processes computed.
        posts_ms: How long submissions took.
        gets_ms: How long questions took.
        gets_a_job: How many of them.
        cpu_ms: By role, for one job.
        cpu_share: Seconds a second of all that is not an engine.
        resident_mb: By role, at the end.
        largest_mb: The largest process of each role.
    """

    images_a_second: float
    engines: int
    posts_ms: Sequence[float] = field(repr=False)
    gets_ms: Sequence[float] = field(repr=False)
    gets_a_job: float
    cpu_ms: Mapping[str, float]
    cpu_share: float
    resident_mb: Mapping[str, float]
    largest_mb: Mapping[str, float]

    @property
    def overhead_ms(self) -> float:
        """What the service takes for a job, beside its engines and its store."""
        return sum(self.cpu_ms.get(role, 0.0) for role in _OVERHEAD)


@dataclass(slots=True)
class Rounds:
    """All turns, in their order."""

    alone: list[float] = field(default_factory=list)  # images a second of one engine
    turns: dict[Configuration, list[Turn]] = field(default_factory=dict)


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
        memory = _turn(system, one, plan, image, jobs=plan.memory_jobs)
    carried = _bytes_a_job(plan, image)
    return Outcome(
        part="service",
        tables=(
            _speeds(rounds),
            _processor_time(rounds),
            _memory(memory, plan.memory_jobs),
            _carried(carried),
        ),
        targets=tuple(_targets(rounds, plan.configurations[0], memory, plan.memory_jobs)),
        figures={
            "cores": cores_in_use(),
            "one engine alone, images/s": rounds.alone,
            "turns": {
                str(one): [_in_short(turn) for turn in turns] for one, turns in rounds.turns.items()
            },
            "memory": {"jobs": plan.memory_jobs, **_in_short(memory)},
            "bytes a job": carried,
        },
    )


def _rounds(system: System, plan: Plan, image: Path) -> Rounds:
    rounds = Rounds(turns={one: [] for one in plan.configurations})
    where = material.places(plan.folder)
    for number in range(plan.rounds):
        alone = engine.images_a_second(plan.model, where, image.read_bytes(), for_s=_ALONE_S)
        rounds.alone.append(alone)
        for one in plan.configurations if number % 2 else reversed(plan.configurations):
            rounds.turns[one].append(_turn(system, one, plan, image, jobs=plan.jobs))
    return rounds


def _turn(
    system: System, configuration: Configuration, plan: Plan, image: Path, *, jobs: int
) -> Turn:
    order = Order(
        kind="saturate",
        url=system.url,
        image=str(image),
        model=model_of(configuration, plan.model),
        clients=plan.clients,
        jobs=_WARM_UP_JOBS,
        in_flight=plan.in_flight,
    )
    with system.consuming(configuration):
        do(order)
        before = roles.usage(system.pids)
        with at_work(_with_jobs(order, jobs)) as reported:
            report = reported()
        after = roles.usage(system.pids)
    return _judged(report, before, after)


def _with_jobs(order: Order, jobs: int) -> Order:
    return Order(**{**asdict(order), "jobs": jobs})


def _judged(
    report: Report, before: Mapping[str, roles.Usage], after: Mapping[str, roles.Usage]
) -> Turn:
    jobs = len(report.finished_s)
    if report.failed or report.refused:
        raise RuntimeError(f"{report.failed} jobs failed, {report.refused} were refused")
    cpu_s = roles.cpu_between(before, after) | {LOAD: report.cpu_s}
    return Turn(
        images_a_second=report.images_a_second,
        engines=after[roles.ENGINE].processes,
        posts_ms=report.posts_ms,
        gets_ms=report.gets_ms,
        gets_a_job=len(report.gets_ms) / jobs,
        cpu_ms={role: seconds * 1000 / jobs for role, seconds in cpu_s.items()},
        cpu_share=sum(cpu_s.values()) / report.took_s - cpu_s[roles.ENGINE] / report.took_s,
        resident_mb={role: used.resident_mb for role, used in after.items()},
        largest_mb={role: used.largest_mb for role, used in after.items()},
    )


def _bytes_a_job(plan: Plan, image: Path) -> dict[str, float]:
    """Count what goes to and from the servers, with a proxy before each; not under a clock."""
    with ExitStack() as stack:
        system, to_mongo, to_rabbitmq = stack.enter_context(_counted_system(plan))
        before = [(one.sent_bytes, one.received_bytes) for one in (to_mongo, to_rabbitmq)]
        _turn(system, Configuration(runtime="onnx"), plan, image, jobs=_BYTES_JOBS)
        after = [(one.sent_bytes, one.received_bytes) for one in (to_mongo, to_rabbitmq)]
    jobs = _BYTES_JOBS + _WARM_UP_JOBS
    figures = {}
    for name, was, now in zip(("MongoDB", "RabbitMQ"), before, after, strict=True):
        figures[f"to {name}"] = (now[0] - was[0]) / jobs
        figures[f"from {name}"] = (now[1] - was[1]) / jobs
    return figures | {"image": image.stat().st_size}


@contextmanager
def _counted_system(plan: Plan) -> Iterator[tuple[System, Counts, Counts]]:
    folder = plan.folder / "counted"
    settings = settings_for(plan.model, plan.folder)
    with running_broker(folder / "rabbitmq") as broker, ExitStack() as stack:
        url, port = broker.empty_vhost(), broker.program.ports[0].number
        to_rabbitmq = stack.enter_context(counting(port))
        through = url.replace(f":{port}/", f":{to_rabbitmq.port}/")
        system = System(folder / "system", broker, settings, amqp_url=through)
        to_mongo = stack.enter_context(counting(system.store.port))
        system.reach_store_at(to_mongo.port)
        stack.enter_context(system.running_servers())
        yield system, to_mongo, to_rabbitmq


def _speeds(rounds: Rounds) -> Table:
    head = (
        "consumers x engines", "engines seen", "images/s", "of one engine alone",
        "POST, ms: median (p95)", "GET, ms: median (p95)", "GETs a job",
    )  # fmt: skip
    alone = ("one engine alone", "1", str(spread(rounds.alone)), "1", "", "", "")
    rows = tuple(_speed(one, turns, rounds.alone) for one, turns in rounds.turns.items())
    return Table(caption="The service, saturated", head=head, rows=(alone, *rows))


def _speed(one: Configuration, turns: Sequence[Turn], alone: Sequence[float]) -> tuple[str, ...]:
    speeds = [turn.images_a_second for turn in turns]
    return (
        str(one),
        str(max(turn.engines for turn in turns)),
        str(spread(speeds)),
        str(ratio(speeds, alone)),
        _median_and_p95([ms for turn in turns for ms in turn.posts_ms]),
        _median_and_p95([ms for turn in turns for ms in turn.gets_ms]),
        short(median(turn.gets_a_job for turn in turns)),
    )


def _median_and_p95(values: Sequence[float]) -> str:
    return f"{short(median(values))} ({short(percentile(values, 95))})"


def _processor_time(rounds: Rounds) -> Table:
    rows = tuple(
        (
            str(one),
            *(str(spread(turn.cpu_ms.get(role, 0.0) for turn in turns)) for role in _ROLES),
            str(spread(turn.overhead_ms for turn in turns)),
        )
        for one, turns in rounds.turns.items()
    )
    return Table(
        caption="Processor time by role, ms a job; the service: nginx, API, RabbitMQ, consumer "
        "parent, courier",
        head=("consumers x engines", *_ROLES, "the service"),
        rows=rows,
    )


def _memory(turn: Turn, jobs: int) -> Table:
    rows = tuple(
        (role, f"{turn.resident_mb[role]:.0f}", f"{turn.largest_mb[role]:.0f}")
        for role in _ROLES
        if role in turn.resident_mb
    )
    return Table(
        caption=f"Memory by role, MB resident after {jobs} jobs; one consumer, one engine",
        head=("role", "all processes", "the largest"),
        rows=rows,
    )


def _carried(figures: Mapping[str, float]) -> Table:
    rows = tuple((name, f"{value:,.0f}") for name, value in figures.items())
    return Table(caption="Bytes a job, over the network", head=("what", "bytes"), rows=rows)


def _targets(rounds: Rounds, first: Configuration, memory: Turn, jobs: int) -> Iterator[Target]:
    turns = rounds.turns[first]
    overhead = spread(turn.overhead_ms for turn in turns)
    yield Target(
        what=f"service: at most {_MOST_OVERHEAD_MS:g} ms of processor time a job for nginx, API, "
        "RabbitMQ, consumer parent and courier",
        measured=f"{overhead} ms",
        is_met=overhead.median <= _MOST_OVERHEAD_MS,
    )
    possible = [
        alone * (cores_in_use() - turn.cpu_share)
        for alone, turn in zip(rounds.alone, turns, strict=True)
    ]
    share = ratio((turn.images_a_second for turn in turns), possible)
    yield Target(
        what=f"service ({first}): at least {_LEAST_OF_CORES} of what engines alone do on the "
        f"cores that the rest leaves free, of {cores_in_use()}",
        measured=str(share),
        is_met=share.median >= _LEAST_OF_CORES,
    )
    yield from _faster_than_eager(rounds, first)
    yield from _in_memory(memory, jobs)


def _faster_than_eager(rounds: Rounds, first: Configuration) -> Iterator[Target]:
    for one, turns in rounds.turns.items():
        if one.runtime != "eager":
            continue
        faster: Spread = ratio(
            (turn.images_a_second for turn in rounds.turns[first]),
            (turn.images_a_second for turn in turns),
        )
        yield Target(
            what=f"service ({first}): at least {_LEAST_OF_EAGER} times itself with eager torch",
            measured=str(faster),
            is_met=faster.median >= _LEAST_OF_EAGER,
        )


def _in_memory(turn: Turn, jobs: int) -> Iterator[Target]:
    consumer_mb = turn.resident_mb["consumer"] + turn.resident_mb[roles.ENGINE]
    yield Target(
        what=f"memory: consumer and engine at most {_MOST_CONSUMER_MB} MB after {jobs} jobs",
        measured=f"{consumer_mb:.0f} MB",
        is_met=consumer_mb <= _MOST_CONSUMER_MB,
    )
    yield Target(
        what=f"memory: an API worker at most {_MOST_WORKER_MB} MB after {jobs} jobs and more",
        measured=f"{turn.largest_mb['api']:.0f} MB",
        is_met=turn.largest_mb["api"] <= _MOST_WORKER_MB,
    )


def _in_short(turn: Turn) -> dict[str, object]:
    """Leave out the single requests."""
    kept = asdict(turn)
    for name in ("posts_ms", "gets_ms"):
        values = kept.pop(name)
        kept[name] = {"median": median(values), "p95": percentile(values, 95)}
    return kept | {"overhead_ms": turn.overhead_ms}
