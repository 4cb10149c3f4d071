"""Run drills: ``./start.sh drill [NAME ...]``; without a name, all of them."""

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import product
from pathlib import Path

from tests.drills import report
from tests.drills.all import DRILLS
from tests.drills.drill import Outcome, run_drill
from tests.drills.without import GUARANTEES


def main() -> int:
    """Run what the command line asks for; return 1 if anything was not as promised."""
    asked = _parse()
    folder = Path(tempfile.mkdtemp(prefix="darkroom-drill-"))
    outcomes = _run_all(asked, folder)
    mark, text, is_good = _judge(outcomes, asked.without)
    print(text)  # noqa: T201 (what the command is for)
    if asked.json is not None:
        report.write_json(outcomes, asked.json)
    if asked.write is not None:
        report.write_into(asked.write, mark, text)
    if not any(outcome.is_red for outcome in outcomes):
        folder.rmdir()
    else:
        print(f"The logs are in {folder}", file=sys.stderr)  # noqa: T201
    return 0 if is_good else 1


def _judge(outcomes: list[Outcome], without: list[str] | None) -> tuple[str, str, bool]:
    """Return the mark of the table in a page, the table, and whether all is as it should be."""
    if without is None:
        return report.DRILLS_MARK, report.table(outcomes), not any(one.is_red for one in outcomes)
    caught = {outcome.without for outcome in outcomes if outcome.is_red}
    return report.WITHOUT_MARK, report.matrix(outcomes), caught == set(without)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./start.sh drill", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DRILLS))
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run for each")
    parser.add_argument("--short", action="store_true", help="less of what takes long")
    parser.add_argument("--at-once", type=int, default=1, help="how many drills run side by side")
    parser.add_argument(
        "--without", choices=GUARANTEES, nargs="+", metavar="GUARANTEE",
        help="take a guarantee away first, one at a time, and show which drills catch it: "
        + ", ".join(GUARANTEES),
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into that page")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(DRILLS):
        parser.error(f"no such drill: {', '.join(sorted(unknown))}; there are {', '.join(DRILLS)}")
    return asked


def _run_all(asked: argparse.Namespace, folder: Path) -> list[Outcome]:
    cases = list(product(asked.names or DRILLS, asked.seed, asked.without or [None]))
    run = partial(_run, folder=folder, short=asked.short)
    # Spawned, so that a drill's threads and connections are its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.at_once, context, max_tasks_per_child=1) as pool:
        # The last take longest: started first, they do not run on alone at the end.
        running = {pool.submit(run, *case): case for case in reversed(cases)}
        outcomes = {}
        for ended in as_completed(running):
            outcomes[running[ended]] = ended.result()
            print(report.details(ended.result()), file=sys.stderr, flush=True)  # noqa: T201
    return [outcomes[case] for case in cases]


def _run(name: str, seed: int, without: str | None, *, folder: Path, short: bool) -> Outcome:
    place = folder / "-".join(map(str, (name, seed, *([without] if without else []))))
    make_system = partial(DRILLS[name].makes, place)
    return run_drill(DRILLS[name], make_system, seed=seed, short=short, without=without)
