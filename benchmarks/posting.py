"""Submissions accepted per second, compared with the same writes to the store alone.

Both with the consumers stopped, and from as many connections; they take turns. The store gets
from this benchmark what it gets from the API: image, record, and the note that it was published.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Final

from benchmarks import material
from benchmarks.figures import percentile, ratio, short, spread
from benchmarks.load import Order, Report, Work, do, flood, write
from benchmarks.plan import Plan
from benchmarks.result import Cell, PartResult, Table, Target, at_most
from benchmarks.system import running_system, settings_for
from benchmarks.turns import in_turns

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

Figures = Mapping[str, Sequence[float]]  # a value a turn


def run(plan: Plan) -> PartResult:
    """Post as fast as posts are accepted, in turns with the same writes to the store."""
    image = plan.folder / "60kB.jpg"
    image.write_bytes(material.photograph_of(_IMAGE_BYTES))
    settings = settings_for(plan.model, plan.folder)
    with running_system(plan.folder / "posting", settings) as system:

        def done(work: Work, url: str, for_s: float) -> Report:
            order = Order(
                work=work, url=url, database=_STORE_DATABASE, image=image, model=plan.model,
                clients=_CLIENTS, for_s=for_s,
            )  # fmt: skip
            return do(*[order] * _PROCESSES)

        works = {
            "service": partial(done, flood, system.url),
            "store": partial(done, write, system.store.url),
        }
        for work in works.values():
            work(_WARM_UP_S)
        turns = {name: partial(work, plan.flood_s) for name, work in works.items()}
        reports = in_turns(turns, plan.rounds)
    figures = {name: _figures(those) for name, those in reports.items()}
    rows: list[Sequence[Cell]] = [
        (name, *one.values(), sum(report.refused for report in reports[name]))
        for name, one in figures.items()
    ]
    clients = _PROCESSES * _CLIENTS
    table = Table(
        caption=f"Images of 60 kB from {clients} clients, consumers stopped; the store alone: "
        f"the same writes from {clients} connections",
        head=("where", *figures["service"], "refused"),
        rows=rows,
    )
    return PartResult(part="posting", tables=(table,), targets=tuple(_targets(**figures)))


def _figures(reports: Sequence[Report]) -> Figures:
    return {
        "accepted/s": [one.posts_a_second for one in reports],
        "median, ms": [median(one.posts_ms) for one in reports],
        "p95, ms": [percentile(one.posts_ms, 95) for one in reports],
    }


def _targets(service: Figures, store: Figures) -> Iterator[Target]:
    rates = service["accepted/s"]
    share = ratio(rates, store["accepted/s"])
    yield Target(
        what=f"POST: at least {_LEAST_A_SECOND}/s of 60 kB from 8 clients, or {_LEAST_OF_STORE} "
        "of what the store alone takes",
        measured=f"{spread(rates)}/s, {share} of the store's",
        is_met=median(rates) >= _LEAST_A_SECOND or share.median >= _LEAST_OF_STORE,
    )
    taken = service["p95, ms"]
    allowed = [one * _MOST_OF_STORES_P95 + _MORE_P95_MS for one in store["p95, ms"]]
    yield at_most(
        f"POST: p95 at most {_MOST_OF_STORES_P95} times the store's own, and {_MORE_P95_MS} ms",
        1, ratio(taken, allowed).median,
        f"{short(median(taken))} ms, allowed {short(median(allowed))} ms",
    )  # fmt: skip
