"""The figures of the saturated service, for people, and against what was wished for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.clients import Report
from benchmarks.figures import median_and_p95, ratio, spread
from benchmarks.outcome import Table, Target, at_least, at_most
from benchmarks.plan import Configuration
from benchmarks.roles import ENGINE, Usage
from benchmarks.saturation import ROLES, Turn
from common.cores import available_cores

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
    rows = [
        (
            str(one),
            max(turn.at_the_end[ENGINE].processes for turn in turns),
            _speeds(turns),
            ratio(_speeds(turns), rounds.alone),
            median_and_p95([ms for turn in turns for ms in turn.posts_ms]),
            median_and_p95([ms for turn in turns for ms in turn.gets_ms]),
            median(turn.gets_a_job for turn in turns),
        )
        for one, turns in rounds.turns.items()
    ]
    alone = ("one engine alone", 1, rounds.alone, 1, "", "", "")
    return Table(caption="The service, saturated", head=head, rows=[alone, *rows], chart="images/s")


def _speeds(turns: Sequence[Turn]) -> list[float]:
    return [turn.images_a_second for turn in turns]


def processor_time(rounds: Rounds) -> Table:
    return Table(
        caption="Processor time by role, ms a job; the service: nginx, API, RabbitMQ, consumer "
        "parent, courier",
        head=("consumers x engines", *ROLES, "the service"),
        rows=[
            (
                str(one),
                *([turn.cpu_ms.get(role, 0.0) for turn in turns] for role in ROLES),
                [turn.overhead_ms for turn in turns],
            )
            for one, turns in rounds.turns.items()
        ],
        chart="the service",
    )


def acceptance(report: Report) -> Table:
    return Table(
        caption="Images accepted while the engines have more than they can do",
        head=("accepted/s", "POST, ms: median (p95)", "refused"),
        rows=[(report.posts_a_second, median_and_p95(report.posts_ms), report.refused)],
    )


def memory(used: Mapping[str, Usage], jobs: int) -> Table:
    return Table(
        caption=f"Memory by role, MB resident after {jobs} jobs; one consumer, one engine",
        head=("role", "all processes", "the largest"),
        rows=[
            (role, round(used[role].resident_mb), round(used[role].largest_mb))
            for role in ROLES
            if role in used
        ],
        chart="all processes",
    )


def carried(figures: Mapping[str, float]) -> Table:
    rows = [(name, round(value)) for name, value in figures.items()]
    return Table(caption="Bytes a job, over the network", head=("what", "bytes"), rows=rows)


def targets(rounds: Rounds, first: Configuration) -> Iterator[Target]:
    turns, cores = rounds.turns[first], available_cores()
    overhead = spread(turn.overhead_ms for turn in turns)
    what = (
        f"service: at most {_MOST_OVERHEAD_MS:g} ms of processor time a job for nginx, API, "
        "RabbitMQ, consumer parent and courier"
    )
    yield at_most(what, _MOST_OVERHEAD_MS, overhead.median, f"{overhead} ms")
    possible = [
        alone * (cores - turn.cpu_share) for alone, turn in zip(rounds.alone, turns, strict=True)
    ]
    what = (
        f"service ({first}): at least {_LEAST_OF_CORES} of what engines alone do on the cores "
        f"that the rest leaves free, of {cores}"
    )
    yield at_least(what, _LEAST_OF_CORES, ratio(_speeds(turns), possible))
    for one, others in rounds.turns.items():
        if one.runtime == "eager":
            what = f"service ({first}): at least {_LEAST_OF_EAGER} times itself with eager torch"
            yield at_least(what, _LEAST_OF_EAGER, ratio(_speeds(turns), _speeds(others)))


def targets_in_memory(used: Mapping[str, Usage], jobs: int) -> Iterator[Target]:
    consumer_mb = used["consumer"].resident_mb + used[ENGINE].resident_mb
    what = f"memory: consumer and engine at most {_MOST_CONSUMER_MB} MB after {jobs} jobs"
    yield at_most(what, _MOST_CONSUMER_MB, consumer_mb, f"{consumer_mb:.0f} MB")
    worker_mb = used["api"].largest_mb
    what = f"memory: an API worker at most {_MOST_WORKER_MB} MB after {jobs} jobs and more"
    yield at_most(what, _MOST_WORKER_MB, worker_mb, f"{worker_mb:.0f} MB")
