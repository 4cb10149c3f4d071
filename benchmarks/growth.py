"""How the service scales with records, waiting jobs and consumers.

Two systems with one broker: one stays as empty as it began, the other grows step by step. At
every step they take turns, so that a ratio compares what the same machine did in the same
seconds. The store's own part is told apart: the time that the same queries take past the
service, since the built-in store plans its queries in another way than MongoDB.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Final, NamedTuple

from benchmarks import material
from benchmarks.figures import Spread, spread
from benchmarks.load import Order, at_work, saturate
from benchmarks.plan import Configuration, Plan
from benchmarks.probe import IMAGE, MODEL, OPERATIONS, Probe
from benchmarks.records import StoreTime
from benchmarks.report import say
from benchmarks.result import Cell, PartResult, Table, Target, at_most
from benchmarks.round import ROUND
from benchmarks.system import System, running_broker, running_system
from benchmarks.turns import in_turns
from standalone.settings import ROOT

_PROBES_UNDER_LOAD: Final = 8
_MOST_GROWTH: Final = 1.5


class Growth(NamedTuple):
    """One operation at one step: the large system against the small, in the same turns."""

    step: str
    what: str
    small_ms: list[float]
    large_ms: list[float]
    ratio: Spread
    store_small_ms: float
    store_large_ms: float
    ratio_without_store: Spread  # without what the store alone takes longer


def run(plan: Plan) -> PartResult:
    """Let one of two systems grow, then let more and more consumers share the work."""
    store_time = StoreTime()
    grown = list(_growths(plan, store_time))
    growth = Table(
        caption="Growth: a system with many records against one with none, in turns",
        head=(
            "records", "what", "none, ms", "many, ms", "ratio", "store alone: none, ms",
            "store alone: many, ms", "ratio without the store's growth",
        ),
        rows=grown,
    )  # fmt: skip
    shared = Table(
        caption="More consumers on the same cores, saturated with small images; ms",
        head=("consumers", "images/s", *OPERATIONS),
        rows=list(_with_consumers(plan, store_time)),
    )
    last = [one for one in grown if one.step == grown[-1].step and one.what != ROUND]
    return PartResult(part="growth", tables=(growth, shared), targets=tuple(map(_target, last)))


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
        # Ever more waiting jobs, and then ever more finished ones beside them.
        steps = [(0, waiting) for waiting in plan.waiting]
        steps += [(finished, max(plan.waiting)) for finished in plan.finished if finished]
        has_finished = has_waiting = 0
        for finished, waiting in steps:
            step = f"{finished:,} finished, {waiting:,} waiting"
            say(f"  {step}")
            probes["large"].grow(finished=finished - has_finished, waiting=waiting - has_waiting)
            has_finished, has_waiting = finished, waiting
            yield from _compare(step, probes, plan.rounds)


def _settings(plan: Plan) -> dict[str, str]:
    return {
        "DARKROOM_MODELS": MODEL,
        "DARKROOM_MODELS_DIR": str(ROOT / "models"),
        "DARKROOM_WEIGHTS_DIR": str(material.paths(plan.folder).weights),
    }


def _compare(step: str, probes: dict[str, Probe], rounds: int) -> Iterator[Growth]:
    for probe in probes.values():
        probe.turn()  # warms up
    turns = in_turns({name: probe.turn for name, probe in probes.items()}, rounds)
    for what in OPERATIONS:
        few, many = ([turn[what] for turn in turns[name]] for name in ("small", "large"))
        pairs = list(zip(few, many, strict=True))
        longer_ms = [max(0.0, two.store_ms - one.store_ms) for one, two in pairs]
        yield Growth(
            step,
            what,
            [one.total_ms for one in few],
            [one.total_ms for one in many],
            spread(two.total_ms / one.total_ms for one, two in pairs),
            median(one.store_ms for one in few),
            median(one.store_ms for one in many),
            spread(
                (two.total_ms - store_ms) / one.total_ms
                for (one, two), store_ms in zip(pairs, longer_ms, strict=True)
            ),
        )


def _with_consumers(plan: Plan, store_time: StoreTime) -> Iterator[Sequence[Cell]]:
    """Measure the throughput of some consumers, and how long other operations take beside them."""
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
            with system.consuming(configuration), at_work(order) as reported:
                turns = [probe.past_the_service() for _ in range(_PROBES_UNDER_LOAD)]
                report = reported()
            ours = ([turn[what].total_ms for turn in turns] for what in ("claim", ROUND))
            yield number, report.images_per_second, report.posts_ms, report.gets_ms, *ours


def _target(one: Growth) -> Target:
    what = (
        f"growth: {one.what} with {one.step} within {_MOST_GROWTH} times of that with none, "
        "the store's own growth taken off"
    )
    ratio = one.ratio_without_store
    return at_most(what, _MOST_GROWTH, ratio.median, f"{ratio} (with it {one.ratio})")
