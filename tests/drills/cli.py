"""Run drills: ``./start.sh drill [NAME ...]``; without a name, all of them."""

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
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
    print(report.table(outcomes))  # noqa: T201 (what the command is for)
    if asked.json is not None:
        report.write_json(outcomes, asked.json)
    if asked.write is not None:
        report.write_into(asked.write, report.table(outcomes))
    if all(outcome.is_green for outcome in outcomes):
        folder.rmdir()
        return 0
    print(f"The logs are in {folder}", file=sys.stderr)  # noqa: T201
    return 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./start.sh drill", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DRILLS))
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="one run for each")
    parser.add_argument("--short", action="store_true", help="less of what takes long")
    parser.add_argument("--at-once", type=int, default=1, help="how many drills run side by side")
    parser.add_argument("--without", choices=GUARANTEES, help="take a guarantee away first")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into that page")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(DRILLS):
        parser.error(f"no such drill: {', '.join(sorted(unknown))}; there are {', '.join(DRILLS)}")
    return asked


def _run_all(asked: argparse.Namespace, folder: Path) -> list[Outcome]:
    wanted = [(name, seed) for name in asked.names or DRILLS for seed in asked.seed]
    run = partial(_run, folder=folder, short=asked.short, without=asked.without)
    # Spawned, so that a drill's threads and connections are its own.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.at_once, context, max_tasks_per_child=1) as pool:
        running = {pool.submit(run, *one): one for one in wanted}
        outcomes = {}
        for ended in as_completed(running):
            outcomes[running[ended]] = ended.result()
            print(report.details(ended.result()), file=sys.stderr, flush=True)  # noqa: T201
    return [outcomes[one] for one in wanted]


def _run(name: str, seed: int, *, folder: Path, short: bool, without: str | None) -> Outcome:
    return run_drill(
        DRILLS[name], folder=folder / f"{name}-{seed}", seed=seed, short=short, without=without
    )
