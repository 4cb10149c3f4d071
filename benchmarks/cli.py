"""Measure: ``./start.sh bench [PART ...]``, each part in a process of its own."""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final, get_args, get_origin, get_type_hints

from benchmarks import machine, report
from benchmarks.plan import Option, Plan
from benchmarks.report import say
from benchmarks.result import JSON, PartResult
from testbed.markdown import write_into

# Modules, each imported in the part's own process: some load torch.
PARTS: Final = ("limit", "service", "latency", "posting", "growth", "start", "round")
_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED: Final = 130  # as a shell has it


def main() -> int:
    """Run what the command line asks for; return 1 if a part did not come to its end."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        parts, plan = parse(sys.argv[1:], Path(folder))
        plan.out.mkdir(parents=True, exist_ok=True)
        if plan.cores and hasattr(os, "sched_setaffinity"):  # Linux; all it starts inherits it
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: plan.cores])
        described = machine.describe(plan.folder / "rabbitmq")
        try:
            results = [_run(part, plan) for part in parts]
        except KeyboardInterrupt:
            return _INTERRUPTED
    _write(results, described, plan)
    return 1 if any(result.fault for result in results) else 0


def parse(words: Sequence[str], folder: Path) -> tuple[Sequence[str], Plan]:
    """Read the parts and the plan from a command line, with defaults for the rest."""
    parser = argparse.ArgumentParser(
        prog="./start.sh bench", description="Measure. Without a PART: all but round."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="hardly more than whether it works")
    hints = get_type_hints(Plan, include_extras=True)
    options: dict[str, Option] = {
        name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated
    }
    for name, one in options.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            help=one.help,
            type=one.read,
            nargs="+" if Ellipsis in get_args(get_args(hints[name])[0]) else None,
            choices=one.choices,
            metavar=name.upper(),
        )
    given = vars(parser.parse_args(words))
    parts, quick = given.pop("parts"), given.pop("quick")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name, one in options.items():
        if given[name] is None:
            given[name] = one.full if one.quick is None or not quick else one.quick
        elif isinstance(given[name], list):
            given[name] = tuple(given[name])
    plan = Plan(folder=folder, quick=quick, **given)
    return parts or [part for part in PARTS if part != "round"], plan


def _run(part: str, plan: Plan) -> PartResult:
    """Run a part in a process of its own, so that none inherits another's memory or threads."""
    say(f"{part} ...")
    kept = plan.folder / f"{part}.json"
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(part, plan, kept))
    _end_by_exception()
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        say("stopping")
        process.terminate()
        process.join()
        raise
    result = PartResult(part=part, fault=f"its process ended with status {process.exitcode}")
    if kept.exists():
        result = JSON.validate_json(kept.read_bytes())
    for table in result.tables:
        say(report.text(table))
    say(f"\n{part}: {result.fault or 'done'}, {result.seconds:.0f} s")
    return result


def _work(part: str, plan: Plan, kept: Path) -> None:
    _end_by_exception()
    started_s = time.monotonic()
    try:
        result: PartResult = import_module(f"benchmarks.{part}").run(plan)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)  # the parent says it
    except Exception as exc:  # noqa: BLE001 (the outermost edge of this process)
        traceback.print_exc()
        result = PartResult(part=part, fault=f"{type(exc).__name__}: {exc}")
    kept.write_bytes(JSON.dump_json(replace(result, seconds=time.monotonic() - started_s)))


def _end_by_exception() -> None:
    """Make the first ending signal raise KeyboardInterrupt, and ignore later ones."""

    def end(_number: int, _frame: object) -> None:
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _ENDING_SIGNALS:
        signal.signal(number, end)


def _write(results: Sequence[PartResult], described: Mapping[str, str], plan: Plan) -> None:
    page = report.markdown(results, described)
    everything = {
        "machine": described,
        "options": asdict(plan),
        "parts": [asdict(result) for result in results],
    }
    (plan.out / "bench.json").write_text(json.dumps(everything, indent=1, default=str) + "\n")
    (plan.out / "bench.md").write_text(page + "\n")
    print(report.targets_table(results))  # noqa: T201 (what the command is for)
    say(f"All figures are in {plan.out}")
    if plan.write is not None:
        write_into(plan.write, report.MARK, page)
