"""How many images are accepted a second, and how many the store alone takes of the same writes.

Both with the consumers stopped, and from as many connections; they take turns. The store gets
from this benchmark what it gets from the API: image, record, and the note that it was published.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import material
from benchmarks.figures import percentile, ratio, short, spread
from benchmarks.load import Order, Report, do
from benchmarks.outcome import Outcome, Table, Target
from benchmarks.plan import Plan
from benchmarks.system import System, running_system, settings_for

_IMAGE_BYTES: Final = 60_000
# As many processes as the API has, see uwsgi.ini.
_PROCESSES: Final = 2
_CLIENTS: Final = 4
_WARM_UP_S: Final = 0.5
_STORE_DATABASE: Final = "alone"

_LEAST_A_SECOND: Final = 300
_LEAST_OF_STORE: Final = 0.8
_MOST_OF_STORES_P95: Final = 1.5
_MORE_P95_MS: Final = 15


def run(plan: Plan) -> Outcome:
    """Post as fast as posts are accepted, in turns with writing past the service."""
    image = plan.folder / "60kB.jpg"
    image.write_bytes(material.photograph_of(_IMAGE_BYTES))
    settings = settings_for(plan.model, plan.folder)
    with running_system(plan.folder / "posting", settings) as system:
        works: dict[str, Callable[[float], Report]] = {
            "service": lambda for_s: _flood(system, plan.model, image, for_s),
            "store": lambda for_s: _write(system, plan.model, image, for_s),
        }
        reports: dict[str, list[Report]] = {name: [] for name in works}
        for work in works.values():
            work(_WARM_UP_S)
        for number in range(plan.rounds):
            for name in works if number % 2 else reversed(works):
                reports[name].append(works[name](plan.flood_s))
    return Outcome(
        part="posting",
        tables=(_table(reports),),
        targets=tuple(_targets(reports)),
        figures={name: [_in_short(one) for one in those] for name, those in reports.items()},
    )


def _flood(system: System, model: str, image: Path, for_s: float) -> Report:
    order = Order(
        kind="flood", url=system.url, image=str(image), model=model, clients=_CLIENTS, for_s=for_s
    )
    return do(*[order] * _PROCESSES)


def _write(system: System, model: str, image: Path, for_s: float) -> Report:
    order = Order(
        kind="write",
        url=system.store.url,
        database=_STORE_DATABASE,
        image=str(image),
        model=model,
        clients=_CLIENTS,
        for_s=for_s,
    )
    return do(*[order] * _PROCESSES)


def _table(reports: Mapping[str, list[Report]]) -> Table:
    rows = tuple(
        (
            name,
            str(spread(one.posts_a_second for one in those)),
            str(spread(median(one.posts_ms) for one in those)),
            str(spread(percentile(one.posts_ms, 95) for one in those)),
            str(sum(one.refused for one in those)),
        )
        for name, those in reports.items()
    )
    clients = _PROCESSES * _CLIENTS
    return Table(
        caption=f"Images of 60 kB from {clients} clients, consumers stopped; the store alone: "
        f"the same writes from {clients} connections",
        head=("where", "accepted/s", "median, ms", "p95, ms", "refused"),
        rows=rows,
    )


def _targets(reports: Mapping[str, list[Report]]) -> Iterator[Target]:
    service, store = reports["service"], reports["store"]
    rates = [one.posts_a_second for one in service]
    stores = [one.posts_a_second for one in store]
    share = ratio(rates, stores)
    yield Target(
        what=f"POST: at least {_LEAST_A_SECOND}/s of 60 kB from 8 clients, or {_LEAST_OF_STORE} "
        "of what the store alone takes",
        measured=f"{spread(rates)}/s, {share} of the store's",
        is_met=median(rates) >= _LEAST_A_SECOND or share.median >= _LEAST_OF_STORE,
    )
    allowed = [percentile(one.posts_ms, 95) * _MOST_OF_STORES_P95 + _MORE_P95_MS for one in store]
    taken = [percentile(one.posts_ms, 95) for one in service]
    yield Target(
        what=f"POST: p95 at most {_MOST_OF_STORES_P95} times the store's own, "
        f"and {_MORE_P95_MS} ms",
        measured=f"{short(median(taken))} ms, allowed {short(median(allowed))} ms",
        is_met=ratio(taken, allowed).median <= 1,
    )


def _in_short(report: Report) -> dict[str, float]:
    return {
        "a second": report.posts_a_second,
        "median, ms": median(report.posts_ms),
        "p95, ms": percentile(report.posts_ms, 95),
        "refused": report.refused,
    }
