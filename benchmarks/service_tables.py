"""The figures of the saturated service, for people, and against what was wished for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.figures import percentile, ratio, short, spread
from benchmarks.load import Report
from benchmarks.outcome import Table, Target
from benchmarks.plan import Configuration
from benchmarks.saturation import ROLES, Turn
from benchmarks.system import cores_in_use

_MOST_OVERHEAD_MS: Final = 6.0
_LEAST_OF_CORES: Final = 0.75
_LEAST_OF_EAGER: Final = 1.3
_MOST_CONSUMER_MB: Final = 330
_MOST_WORKER_MB: Final = 80


@dataclass(slots=True)
class Rounds:
    """All turns, in their order."""

    alone: list[float] = field(default_factory=list)  # images a second of one engine
    turns: dict[Configuration, list[Turn]] = field(default_factory=dict)


def speeds(rounds: Rounds) -> Table:
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


def processor_time(rounds: Rounds) -> Table:
    rows = tuple(
        (
            str(one),
            *(str(spread(turn.cpu_ms.get(role, 0.0) for turn in turns)) for role in ROLES),
            str(spread(turn.overhead_ms for turn in turns)),
        )
        for one, turns in rounds.turns.items()
    )
    return Table(
        caption="Processor time by role, ms a job; the service: nginx, API, RabbitMQ, consumer "
        "parent, courier",
        head=("consumers x engines", *ROLES, "the service"),
        rows=rows,
    )


def acceptance(report: Report) -> Table:
    return Table(
        caption="Images accepted while the engines have more than they can do",
        head=("accepted/s", "POST, ms: median (p95)", "refused"),
        rows=(
            (short(report.posts_a_second), _median_and_p95(report.posts_ms), str(report.refused)),
        ),
    )


def memory(turn: Turn, jobs: int) -> Table:
    rows = tuple(
        (role, f"{turn.resident_mb[role]:.0f}", f"{turn.largest_mb[role]:.0f}")
        for role in ROLES
        if role in turn.resident_mb
    )
    return Table(
        caption=f"Memory by role, MB resident after {jobs} jobs; one consumer, one engine",
        head=("role", "all processes", "the largest"),
        rows=rows,
    )


def carried(figures: Mapping[str, float]) -> Table:
    rows = tuple((name, f"{value:,.0f}") for name, value in figures.items())
    return Table(caption="Bytes a job, over the network", head=("what", "bytes"), rows=rows)


def targets(rounds: Rounds, first: Configuration, memory: Turn, jobs: int) -> Iterator[Target]:
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
        faster = ratio(
            (turn.images_a_second for turn in rounds.turns[first]),
            (turn.images_a_second for turn in turns),
        )
        yield Target(
            what=f"service ({first}): at least {_LEAST_OF_EAGER} times itself with eager torch",
            measured=str(faster),
            is_met=faster.median >= _LEAST_OF_EAGER,
        )


def _in_memory(turn: Turn, jobs: int) -> Iterator[Target]:
    consumer_mb = turn.resident_mb["consumer"] + turn.resident_mb["engine"]
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
