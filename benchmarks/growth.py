"""What many records, many waiting jobs and more consumers do to the service.

Two systems with one broker: one stays as empty as it began, the other grows step by step. At
every step they take turns, so that a ratio compares what the same machine did in the same
seconds. The store's own part is told apart: the time that the same queries take past the
service, since the embedded store plans its queries in another way than MongoDB.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks import load, material
from benchmarks.courier_round import ROUND
from benchmarks.figures import Spread, short, spread
from benchmarks.outcome import Outcome, Table, Target
from benchmarks.plan import Configuration, Plan
from benchmarks.probe import IMAGE, MODEL, OPERATIONS, Probe, Turn
from benchmarks.progress import say
from benchmarks.system import System, running_broker, running_system
from benchmarks.writes import Lap, StoreTime
from embedded.settings import ROOT

_PROBES_UNDER_LOAD: Final = 8
_MOST_GROWTH: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How much there is in the system that grows."""

    finished: int
    waiting: int

    def __str__(self) -> str:
        return f"{self.finished:,} finished, {self.waiting:,} waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One step of one operation: large against small, in the same turns.

    Args:
        small_ms: In the system that stays empty.
        large_ms: In the other.
        store_small_ms: The store's own part there.
        store_large_ms: And here.
        ratio: Large over small.
        ratio_without_store: The same without what the store alone takes longer.
    """

    small_ms: Spread
    large_ms: Spread
    store_small_ms: Spread
    store_large_ms: Spread
    ratio: Spread
    ratio_without_store: Spread


def run(plan: Plan) -> Outcome:
    """Let one of two systems grow, then let more and more consumers share the work."""
    store_time = StoreTime()
    grown = dict(_growths(plan, store_time))
    shared = dict(_with_consumers(plan, store_time))
    return Outcome(
        part="growth",
        tables=(_growth_table(grown), _consumers_table(shared)),
        targets=tuple(_targets(grown)),
        figures={
            "growth": {
                str(step): {"step": asdict(step)} | {name: asdict(one) for name, one in of.items()}
                for step, of in grown.items()
            },
            "consumers": shared,
        },
    )


def _growths(plan: Plan, store_time: StoreTime) -> Iterator[tuple[Step, dict[str, Growth]]]:
    with ExitStack() as stack:
        folder = plan.folder / "growth"
        broker = stack.enter_context(running_broker(folder / "rabbitmq"))
        small, large = (
            _probe(System(folder / name, broker, _settings(plan)), stack, store_time)
            for name in ("small", "large")
        )
        reached = Step(finished=0, waiting=0)
        for step in _steps(plan):
            say(f"  {step}")
            large.grow(
                finished=step.finished - reached.finished, waiting=step.waiting - reached.waiting
            )
            reached = step
            yield step, _compare(small, large, plan.rounds)


def _probe(system: System, stack: ExitStack, store_time: StoreTime) -> Probe:
    # No courier: its rounds are done here, between the other measurements.
    stack.enter_context(system.running_servers(with_courier=False))
    return Probe(system, stack, store_time)


def _settings(plan: Plan) -> dict[str, str]:
    return {
        "DARKROOM_MODELS": MODEL,
        "DARKROOM_MODELS_DIR": str(ROOT / "models"),
        "DARKROOM_WEIGHTS_DIR": str(material.places(plan.folder).weights),
    }


def _steps(plan: Plan) -> Iterator[Step]:
    """Yield ever more waiting jobs, and then ever more finished ones beside them."""
    for waiting in plan.waiting:
        yield Step(finished=0, waiting=waiting)
    for finished in plan.finished:
        if finished:
            yield Step(finished=finished, waiting=max(plan.waiting))


def _compare(small: Probe, large: Probe, rounds: int) -> dict[str, Growth]:
    turns: dict[Probe, list[Turn]] = {small: [], large: []}
    for probe in turns:
        probe.turn()  # warms up
    for number in range(rounds):
        for probe in turns if number % 2 else reversed(turns):
            turns[probe].append(probe.turn())
    pairs = list(zip(turns[small], turns[large], strict=True))
    return {name: _growth([(few[name], many[name]) for few, many in pairs]) for name in OPERATIONS}


def _growth(pairs: Sequence[tuple[Lap, Lap]]) -> Growth:
    return Growth(
        small_ms=spread(few.total_ms for few, _ in pairs),
        large_ms=spread(many.total_ms for _, many in pairs),
        store_small_ms=spread(few.store_ms for few, _ in pairs),
        store_large_ms=spread(many.store_ms for _, many in pairs),
        ratio=spread(many.total_ms / few.total_ms for few, many in pairs),
        ratio_without_store=spread(
            (many.total_ms - max(0.0, many.store_ms - few.store_ms)) / few.total_ms
            for few, many in pairs
        ),
    )


def _with_consumers(plan: Plan, store_time: StoreTime) -> Iterator[tuple[int, dict[str, Any]]]:
    """Measure what several consumers get done, and what else waits for them meanwhile."""
    with ExitStack() as stack:
        folder = plan.folder / "consumers"
        system = stack.enter_context(running_system(folder, _settings(plan)))
        probe = Probe(system, stack, store_time)
        for number in plan.consumers:
            say(f"  consumers: {number}")
            configuration = Configuration(runtime="onnx", consumers=number)
            with system.consuming(configuration), load.at_work(_order(plan, system)) as reported:
                turns = [probe.past_the_service() for _ in range(_PROBES_UNDER_LOAD)]
                yield number, _shared(reported(), turns)


def _order(plan: Plan, system: System) -> load.Order:
    return load.Order(
        kind="saturate",
        url=system.url,
        image=str(IMAGE),
        model=MODEL,
        clients=plan.clients,
        jobs=plan.jobs * 2,  # small images
        in_flight=plan.in_flight,
    )


def _shared(report: load.Report, turns: Sequence[Turn]) -> dict[str, Any]:
    times_ms = {"POST": report.posts_ms, "poll": report.gets_ms}
    for name in ("claim", ROUND):
        times_ms[name] = [turn[name].total_ms for turn in turns]
    return {
        "images a second": report.images_a_second,
        "ms": {name: asdict(spread(values)) for name, values in times_ms.items()},
    }


def _growth_table(grown: Mapping[Step, Mapping[str, Growth]]) -> Table:
    rows = tuple(
        (
            str(step), name, str(one.small_ms), str(one.large_ms), str(one.ratio),
            short(one.store_small_ms.median), short(one.store_large_ms.median),
            str(one.ratio_without_store),
        )
        for step, operations in grown.items()
        for name, one in operations.items()
    )  # fmt: skip
    return Table(
        caption="Growth: a system with many records against one with none, in turns",
        head=(
            "records", "what", "none, ms", "many, ms", "ratio", "store alone: none, ms",
            "store alone: many, ms", "ratio without the store's growth",
        ),
        rows=rows,
    )  # fmt: skip


def _consumers_table(shared: Mapping[int, Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            str(number),
            short(one["images a second"]),
            *(str(Spread(**one["ms"][name])) for name in OPERATIONS),
        )
        for number, one in shared.items()
    )
    return Table(
        caption="More consumers on the same cores, saturated with small images; ms",
        head=("consumers", "images/s", *OPERATIONS),
        rows=rows,
    )


def _targets(grown: Mapping[Step, Mapping[str, Growth]]) -> Iterator[Target]:
    *_, (step, operations) = grown.items()
    for name in ("POST", "poll", "claim"):
        one = operations[name]
        yield Target(
            what=f"growth: {name} with {step} within {_MOST_GROWTH} times of that with none, "
            "the store's own growth taken off",
            measured=f"{one.ratio_without_store} (with it {one.ratio})",
            is_met=one.ratio_without_store.median <= _MOST_GROWTH,
        )
