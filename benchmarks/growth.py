"""What many records, many waiting jobs and more consumers do to the service.

Two systems with one broker: one stays as empty as it began, the other grows step by step. At
every step they take turns, so that a ratio compares what the same machine did in the same
seconds. The store's own part is told apart: the time that the same queries take past the
service, since the embedded store plans its queries in another way than MongoDB.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Final, NamedTuple

from benchmarks import load, material
from benchmarks.clients import Order, saturate
from benchmarks.courier_round import ROUND
from benchmarks.figures import Spread, spread
from benchmarks.outcome import Cell, Outcome, Table, Target, at_most
from benchmarks.plan import Configuration, Plan
from benchmarks.probe import IMAGE, MODEL, OPERATIONS, Probe
from benchmarks.progress import say
from benchmarks.system import System, running_broker, running_system
from benchmarks.turns import in_turns
from benchmarks.writes import StoreTime
from embedded.settings import ROOT

_PROBES_UNDER_LOAD: Final = 8
_MOST_GROWTH: Final = 1.5
_GROWTH_HEAD: Final = (
    "records", "what", "none, ms", "many, ms", "ratio", "store alone: none, ms",
    "store alone: many, ms", "ratio without the store's growth",
)  # fmt: skip


class Growth(NamedTuple):
    """One operation at one step: the large system against the small, in the same turns."""

    step: str
    what: str
    small_ms: Spread
    large_ms: Spread
    ratio: Spread
    store_small_ms: float
    store_large_ms: float
    ratio_without_store: Spread  # without what the store alone takes longer


def run(plan: Plan) -> Outcome:
    """Let one of two systems grow, then let more and more consumers share the work."""
    store_time = StoreTime()
    grown = list(_growths(plan, store_time))
    shared = list(_with_consumers(plan, store_time))
    return Outcome(
        part="growth",
        tables=(
            Table(
                caption="Growth: a system with many records against one with none, in turns",
                head=_GROWTH_HEAD,
                rows=grown,
                chart="ratio",
            ),
            Table(
                caption="More consumers on the same cores, saturated with small images; ms",
                head=("consumers", "images/s", *OPERATIONS),
                rows=shared,
            ),
        ),
        targets=tuple(_targets(one for one in grown if one.step == grown[-1].step)),
    )


def _growths(plan: Plan, store_time: StoreTime) -> Iterator[Growth]:
    with ExitStack() as stack:
        folder = plan.folder / "growth"
        broker = stack.enter_context(running_broker(folder / "rabbitmq"))
        probes = {}
        for name in ("small", "large"):
            system = System(folder / name, broker, _settings(plan))
            # No courier: its rounds are done here, between the other measurements.
            stack.enter_context(system.running_servers(with_courier=False))
            probes[name] = Probe(system, stack, store_time)
        has_finished = has_waiting = 0
        for finished, waiting in _steps(plan):
            step = f"{finished:,} finished, {waiting:,} waiting"
            say(f"  {step}")
            probes["large"].grow(finished=finished - has_finished, waiting=waiting - has_waiting)
            has_finished, has_waiting = finished, waiting
            yield from _compare(step, probes, plan.rounds)


def _settings(plan: Plan) -> dict[str, str]:
    return {
        "DARKROOM_MODELS": MODEL,
        "DARKROOM_MODELS_DIR": str(ROOT / "models"),
        "DARKROOM_WEIGHTS_DIR": str(material.places(plan.folder).weights),
    }


def _steps(plan: Plan) -> list[tuple[int, int]]:
    """Return ever more waiting jobs, and then ever more finished ones beside them."""
    most = max(plan.waiting)
    return [(0, one) for one in plan.waiting] + [(one, most) for one in plan.finished if one]


def _compare(step: str, probes: dict[str, Probe], rounds: int) -> Iterator[Growth]:
    for probe in probes.values():
        probe.turn()  # warms up
    turns = in_turns({name: probe.turn for name, probe in probes.items()}, rounds)
    for what in OPERATIONS:
        few, many = ([turn[what] for turn in turns[name]] for name in ("small", "large"))
        pairs = list(zip(few, many, strict=True))
        yield Growth(
            step,
            what,
            spread(one.total_ms for one in few),
            spread(one.total_ms for one in many),
            spread(two.total_ms / one.total_ms for one, two in pairs),
            median(one.store_ms for one in few),
            median(one.store_ms for one in many),
            spread(
                (two.total_ms - max(0.0, two.store_ms - one.store_ms)) / one.total_ms
                for one, two in pairs
            ),
        )


def _with_consumers(plan: Plan, store_time: StoreTime) -> Iterator[Sequence[Cell]]:
    """Measure what so many consumers get done, and what else waits for them meanwhile."""
    with ExitStack() as stack:
        system = stack.enter_context(running_system(plan.folder / "consumers", _settings(plan)))
        probe = Probe(system, stack, store_time)
        order = Order(
            work=saturate,
            url=system.url,
            image=IMAGE,
            model=MODEL,
            clients=plan.clients,
            jobs=plan.jobs * 2,  # small images
            in_flight=plan.in_flight,
        )
        for number in plan.share:
            say(f"  consumers: {number}")
            configuration = Configuration(runtime="onnx", consumers=number)
            with system.consuming(configuration), load.at_work(order) as reported:
                turns = [probe.past_the_service() for _ in range(_PROBES_UNDER_LOAD)]
                report = reported()
            ours = ([turn[what].total_ms for turn in turns] for what in ("claim", ROUND))
            yield number, report.images_a_second, report.posts_ms, report.gets_ms, *ours


def _targets(grown: Iterator[Growth]) -> Iterator[Target]:
    for one in grown:
        if one.what != ROUND:
            yield at_most(
                f"growth: {one.what} with {one.step} within {_MOST_GROWTH} times of that with "
                "none, the store's own growth taken off",
                _MOST_GROWTH,
                one.ratio_without_store.median,
                f"{one.ratio_without_store} (with it {one.ratio})",
            )
