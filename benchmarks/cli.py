"""Measure: ``./start.sh bench [PART ...]``; without a part, all but ``round``."""

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
from importlib import import_module
from pathlib import Path
from typing import Final

from benchmarks import machine, report
from benchmarks.outcome import Outcome
from benchmarks.plan import Configuration, Plan, Size
from benchmarks.progress import say

# What runs each part. Imported in the part's own process: some load torch.
PARTS: Final[Mapping[str, str]] = {
    "limit": "benchmarks.limit",
    "service": "benchmarks.service",
    "latency": "benchmarks.latency",
    "posting": "benchmarks.posting",
    "growth": "benchmarks.growth",
    "start": "benchmarks.cold_start",
    "round": "benchmarks.courier_round",
}
_BY_DEFAULT: Final = tuple(part for part in PARTS if part != "round")
_MODELS: Final = ("resnet18", "squeezenet1_1", "mobilenet_v3_small", "resnet50", "efficientnet_b0")
_SIZES: Final = ((640, 480), (1920, 1080), (4000, 3000))
_RUNTIMES: Final = ("eager", "torch", "onnx", "openvino")
_OUT: Final = Path(".darkroom/bench")
_ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_INTERRUPTED: Final = 130  # as a shell has it
_TWO_CORES: Final = 2


def main() -> int:
    """Run what the command line asks for; return 1 if a part did not come to its end."""
    asked = parse(sys.argv[1:])
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder:
        plan = plan_of(asked, Path(folder))
        _keep_to(plan.cores)
        described = machine.describe()
        try:
            outcomes = [_run(part, plan) for part in asked.parts]
        except KeyboardInterrupt:
            return _INTERRUPTED
    _write(outcomes, described, asked)
    return 1 if any(outcome.fault for outcome in outcomes) else 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="./start.sh bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="hardly more than whether it works")
    parser.add_argument("--out", type=Path, default=_OUT, help="the folder for all results")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures into that page")
    parser.add_argument("--cores", type=int, default=_TWO_CORES, help="for everything; 0: all")
    parser.add_argument("--rounds", type=int, help="how often everything takes its turn")
    parser.add_argument("--runtime", nargs="+", choices=_RUNTIMES, metavar="RUNTIME")
    _add_limit(parser.add_argument_group("limit"))
    _add_service(parser.add_argument_group("service, latency, posting, start"))
    _add_records(parser.add_argument_group("growth, round"))
    asked = parser.parse_args(words)
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    asked.parts = asked.parts or list(_BY_DEFAULT)
    return asked


def _add_limit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--models", nargs="+", choices=_MODELS, metavar="MODEL")
    group.add_argument("--sizes", nargs="+", type=_size, metavar="WIDTHxHEIGHT")


def _add_service(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", default="resnet18", help="the network that is served")
    group.add_argument("--size", type=_size, default=_SIZES[0], metavar="WIDTHxHEIGHT")
    group.add_argument("--consumers", type=int, default=1, help="how many processes")
    group.add_argument("--engines", nargs="+", type=int, help="of each consumer")
    group.add_argument("--batch", nargs="+", type=int, default=[1], help="images at once")
    group.add_argument("--jobs", type=int, help="a turn")
    group.add_argument("--in-flight", type=int, default=32, help="jobs that are unfinished")
    group.add_argument("--clients", type=int, default=4, help="connections that hand them in")
    group.add_argument("--runs", type=int, help="single images, for the latency")
    group.add_argument("--url", default="", help="a service that runs already, for the latency")
    group.add_argument("--image", type=Path, help="what to hand in there")


def _add_records(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--finished", nargs="+", type=int, help="numbers of records")
    group.add_argument("--waiting", nargs="+", type=int, help="numbers of jobs")
    group.add_argument("--processing", type=int, default=100, help="jobs, for a round")
    group.add_argument("--share", nargs="+", type=int, help="numbers of consumers")


def _size(text: str) -> Size:
    width, _, height = text.partition("x")
    return int(width), int(height)


def plan_of(asked: argparse.Namespace, folder: Path) -> Plan:
    """Fill in what the command line leaves open."""
    quick = asked.quick
    return Plan(
        folder=folder,
        cores=asked.cores,
        rounds=asked.rounds or (1 if quick else 5),
        models=tuple(asked.models or (_MODELS[:1] if quick else _MODELS)),
        sizes=tuple(asked.sizes or (_SIZES[:1] if quick else _SIZES)),
        runtimes=tuple(asked.runtime or _RUNTIMES),
        turn_s=0.02 if quick else 0.1,
        model=asked.model,
        size=asked.size,
        configurations=tuple(_configurations(asked)),
        jobs=asked.jobs or (64 if quick else 300),
        in_flight=asked.in_flight,
        clients=asked.clients,
        memory_jobs=100 if quick else 1000,
        runs=asked.runs or (20 if quick else 200),
        url=asked.url,
        image=asked.image,
        flood_s=0.5 if quick else 3.0,
        finished=tuple(asked.finished or ((1000,) if quick else (100_000, 1_000_000))),
        waiting=tuple(asked.waiting or ((10, 100) if quick else (10, 1000, 100_000))),
        processing=asked.processing,
        consumers=tuple(asked.share or ((1, 2) if quick else (1, 2, 4))),
        starts=1 if quick else 3,
    )


def _configurations(asked: argparse.Namespace) -> list[Configuration]:
    """Combine what was asked for; eager torch, to compare with, comes in one kind."""
    cores = asked.cores or os.cpu_count() or 1
    engines = asked.engines or list(dict.fromkeys((cores, 1)))
    found = []
    for runtime in asked.runtime or ("onnx", "eager"):
        is_eager = runtime == "eager"
        for number in engines[:1] if is_eager else engines:
            for batch in asked.batch[:1] if is_eager else asked.batch:
                found.append(
                    Configuration(
                        runtime=runtime, consumers=asked.consumers, engines=number, batch=batch
                    )
                )
    return found


def _keep_to(cores: int) -> None:
    """Let this process, and all that it starts, run on so many cores only (Linux)."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def _run(part: str, plan: Plan) -> Outcome:
    """Run a part in a process of its own, so that none inherits another's memory or threads."""
    say(f"{part} ...")
    kept = plan.folder / f"{part}.json"
    started_s = time.monotonic()
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(part, plan, kept))
    _end_by_exception()
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        say("stopping")
        process.terminate()
        process.join()
        raise
    outcome = Outcome(part=part, fault=f"its process ended with status {process.exitcode}")
    if kept.exists():
        outcome = Outcome.from_json(json.loads(kept.read_text()))
    for table in outcome.tables:
        say(report.text(table))
    say(f"\n{part}: {outcome.fault or 'done'}, {time.monotonic() - started_s:.0f} s")
    return outcome


def _work(part: str, plan: Plan, kept: Path) -> None:
    _end_by_exception()
    started_s = time.monotonic()
    try:
        outcome: Outcome = import_module(PARTS[part]).run(plan)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)  # the parent says it
    except Exception as exc:  # noqa: BLE001 (the outermost edge of this process)
        traceback.print_exc()
        outcome = Outcome(part=part, fault=f"{type(exc).__name__}: {exc}")
    document = outcome.as_json() | {"seconds": time.monotonic() - started_s}
    kept.write_text(json.dumps(document))


def _end_by_exception() -> None:
    """Make the first signal that asks for an end raise KeyboardInterrupt, and others nothing."""

    def end(_number: int, _frame: object) -> None:
        for number in _ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in _ENDING_SIGNALS:
        signal.signal(number, end)


def _write(
    outcomes: Sequence[Outcome], described: Mapping[str, str], asked: argparse.Namespace
) -> None:
    report.write_json(asked.out / report.JSON_FILE, outcomes, described, vars(asked))
    charts = [asked.out / f"{report.CHART}{ending}" for ending in (".png", ".svg")]
    has_chart = _draw(outcomes, charts)
    page = report.markdown(outcomes, described, chart=f"{report.CHART}.svg" if has_chart else "")
    (asked.out / report.MARKDOWN_FILE).write_text(page + "\n")
    print(report.targets_table(outcomes))  # noqa: T201 (what the command is for)
    say(f"All figures are in {asked.out}")
    if asked.write is not None:
        chart = asked.write.with_name(f"{asked.write.stem}.svg")
        _draw(outcomes, [chart])
        text = report.markdown(outcomes, described, chart=chart.name if has_chart else "")
        report.write_into(asked.write, text)


def _draw(outcomes: Sequence[Outcome], paths: Sequence[Path]) -> bool:
    from benchmarks import charts  # noqa: PLC0415 (it takes a second)

    return charts.draw(outcomes, *paths)
