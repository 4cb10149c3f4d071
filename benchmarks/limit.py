"""The limit: what one core does with an image, alone: decode, preprocess, compute.

Runtimes take turns in every round, each round in the other order, and are compared within their
round: the machine's own noise then strikes all alike. The stages take their turns among them.

``eager`` is torch as a script would use it; ``torch`` is what serves here where onnxruntime
cannot; ``engine`` is the service's engine process with onnxruntime, asked by two lanes.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it once, when it is loaded

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

import torch

from benchmarks import material
from benchmarks.bare import served_by, whole
from benchmarks.eager import eager_classifier
from benchmarks.engine import AT_ONCE, NO_LIMIT, TOP_K, running_engine
from benchmarks.figures import Spread, ratio, short, spread
from benchmarks.outcome import Outcome, Table, Target
from benchmarks.plan import BenchRuntime, Plan, Size
from benchmarks.progress import say
from engine.decoding.decode import decode
from engine.models.classifier import Classifier, top_k_predictions
from engine.models.places import Places

ENGINE: Final = "engine"
# Many short turns: what disturbs for a moment then spoils few of them.
_PARTS: Final = 2
_HEAD: Final = ("model", "image", "runtime", "images/s", "of eager", "of its stages", "stages, ms")
_MODEL_OF_TARGETS: Final = "resnet18"
_SIZE_OF_TARGETS: Final = (640, 480)
_LEAST_OF_STAGES: Final = 0.95
_LEAST_OF_EAGER: Final = 1.5

Step = Callable[[], object]
Times = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One runtime with one model and one size of images.

    Args:
        of_eager: How much faster than eager torch, within each round.
        of_stages: How near to the sum of its stages, each timed alone in the same round.
        stages_ms: Their medians.
    """

    model: str
    size: Size
    runtime: str
    images_a_second: Spread
    of_eager: Spread | None
    of_stages: Spread | None
    stages_ms: Mapping[str, float]


def run(plan: Plan) -> Outcome:
    """Measure every model with images of every size, by every runtime."""
    torch.set_num_threads(1)
    where = material.places(plan.folder)
    images = {size: material.photograph(size) for size in plan.sizes}
    lines = [line for name in plan.models for line in _compare(name, where, images, plan)]
    return Outcome(
        part="limit",
        tables=(
            Table(caption="The limit: one core, alone", head=_HEAD, rows=tuple(map(_row, lines))),
        ),
        targets=_targets(lines),
        figures={"lines": [asdict(line) for line in lines]},
    )


def _compare(name: str, where: Places, images: Mapping[Size, bytes], plan: Plan) -> Iterator[Line]:
    say(f"  {name}")
    material.write_model(name, where)
    classifiers = {
        runtime: classifier
        for runtime in plan.runtimes
        if (classifier := _classifier(name, where, runtime)) is not None
    }
    with ExitStack() as opened:
        ask = opened.enter_context(running_engine(name, where)) if "onnx" in classifiers else None
        for size, image in images.items():
            steps: dict[str, Step] = {
                runtime: partial(whole, classifier, image)
                for runtime, classifier in classifiers.items()
            }
            stages: dict[str, Step] = {}
            if ask is not None:
                steps[ENGINE] = partial(ask, image)
                stages = _stages(classifiers["onnx"], image)
            times_ms = take_turns(
                steps | stages, rounds=plan.rounds * _PARTS, turn_s=plan.turn_s / _PARTS
            )
            if ENGINE in times_ms:
                times_ms[ENGINE] = [one / AT_ONCE for one in times_ms[ENGINE]]
            yield from _lines(name, size, times_ms, tuple(stages))


def _classifier(name: str, where: Places, runtime: BenchRuntime) -> Classifier | None:
    """Load a model into a runtime; None if that cannot serve it here."""
    if runtime == "eager":
        return eager_classifier(name, where)
    return served_by(runtime, name, where)


def _stages(classifier: Classifier, image: bytes) -> dict[str, Step]:
    """Return each stage alone, with what the one before it gives."""
    opened = decode(image, max_pixels=NO_LIMIT)
    batch = classifier.kit.preprocessing.batch([opened])
    [logits] = classifier.network(batch)
    return {
        "decode": partial(decode, image, max_pixels=NO_LIMIT),
        "preprocess": partial(classifier.kit.preprocessing.batch, [opened]),
        "network": partial(classifier.network, batch),
        "labels": partial(top_k_predictions, logits, classifier.kit.labels, TOP_K),
    }


def take_turns(steps: Mapping[str, Step], *, rounds: int, turn_s: float) -> dict[str, list[float]]:
    """Time all steps in every round, each round in the other order; in milliseconds."""
    repeats = {name: _repeats(step, turn_s) for name, step in steps.items()}  # and warm up
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps) if number % 2 else list(steps)[::-1]:
            times_ms[name].append(_turn_ms(steps[name], repeats[name]))
    return times_ms


def _repeats(step: Step, turn_s: float) -> int:
    step()
    took_s = _turn_ms(step, 1) / 1000
    return max(1, round(turn_s / took_s))


def _turn_ms(step: Step, repeats: int) -> float:
    started_s = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - started_s) / repeats * 1000


def _lines(name: str, size: Size, times_ms: Times, stages: Sequence[str]) -> Iterator[Line]:
    eager_ms = times_ms.get("eager")
    sums_ms = [sum(round_ms) for round_ms in zip(*(times_ms[one] for one in stages), strict=True)]
    for runtime, values_ms in times_ms.items():
        if runtime in stages:
            continue
        has_stages = runtime in ("onnx", ENGINE)
        yield Line(
            model=name,
            size=size,
            runtime=runtime,
            images_a_second=spread(1000 / one for one in values_ms),
            of_eager=None if eager_ms is None else ratio(eager_ms, values_ms),
            of_stages=ratio(sums_ms, values_ms) if has_stages else None,
            stages_ms={one: spread(times_ms[one]).median for one in stages if has_stages},
        )


def _row(line: Line) -> tuple[str, ...]:
    width, height = line.size
    stages = ", ".join(f"{name} {short(ms)}" for name, ms in line.stages_ms.items())
    of_eager, of_stages = (str(one or "") for one in (line.of_eager, line.of_stages))
    speed = str(line.images_a_second)
    return line.model, f"{width}x{height}", line.runtime, speed, of_eager, of_stages, stages


def _targets(lines: Sequence[Line]) -> tuple[Target, ...]:
    return tuple(
        target
        for line in lines
        if (line.model, line.size, line.runtime) == (_MODEL_OF_TARGETS, _SIZE_OF_TARGETS, ENGINE)
        for target in _targets_of(line)
    )


def _targets_of(line: Line) -> Iterator[Target]:
    if line.of_stages is not None:
        yield Target(
            what=f"engine, resnet18, 640x480: at least {_LEAST_OF_STAGES} of its stages alone",
            measured=str(line.of_stages),
            is_met=line.of_stages.median >= _LEAST_OF_STAGES,
        )
    if line.of_eager is not None:
        yield Target(
            what=f"engine, resnet18, 640x480: at least {_LEAST_OF_EAGER} times eager torch",
            measured=str(line.of_eager),
            is_met=line.of_eager.median >= _LEAST_OF_EAGER,
        )
