"""The limit: what one core does with an image, alone: decode, preprocess, compute.

Runtimes take turns in every round, each round in the other order, and are compared within their
round: the machine's own noise then strikes all alike. The stages take their turns among them.

``eager`` is torch as a script would use it; ``torch`` is what serves here where onnxruntime
cannot; ``engine`` is the service's engine process with onnxruntime, asked by two lanes.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it once, when it is loaded

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Final, NamedTuple

import torch

from benchmarks import material
from benchmarks.alone import AT_ONCE, NO_LIMIT, TOP_K, running_engine, served_by, whole
from benchmarks.eager import eager_classifier
from benchmarks.figures import Spread, ratio, short
from benchmarks.plan import RUNTIMES, BenchRuntime, Plan, Size
from benchmarks.report import say
from benchmarks.result import PartResult, Table, Target, at_least
from benchmarks.turns import Step, take_turns
from engine.decoding.decode import decode
from engine.models.classifier import Classifier, top_k_predictions
from engine.models.paths import ModelPaths

ENGINE: Final = "engine"
# Many short turns: what disturbs for a moment then spoils few of them.
_PARTS: Final = 2
_HEAD: Final = ("model", "image", "runtime", "images/s", "of eager", "of its stages", "stages, ms")
_OF_TARGETS: Final = ("resnet18", "640x480", ENGINE)
_LEAST_OF_STAGES: Final = 0.95
_LEAST_OF_EAGER: Final = 1.5


class Row(NamedTuple):
    """One runtime with one model and one size of images."""

    model: str
    size: str
    runtime: str
    images_per_second: list[float]
    of_eager: Spread | str  # how much faster than eager torch, within each round
    of_stages: Spread | str  # how near to the sum of its stages, timed alone in the same round
    stages_ms: str


def run(plan: Plan) -> PartResult:
    """Measure every model with images of every size, by every runtime."""
    torch.set_num_threads(1)
    where = material.paths(plan.folder)
    images = {size: material.photograph(size) for size in plan.sizes}
    rows = [row for name in plan.models for row in _compare(name, where, images, plan)]
    return PartResult(
        part="limit",
        tables=(Table(caption="The limit: one core, alone", head=_HEAD, rows=rows),),
        targets=tuple(target for row in rows for target in _targets(row)),
    )


def _compare(
    name: str, where: ModelPaths, images: Mapping[Size, bytes], plan: Plan
) -> Iterator[Row]:
    say(f"  {name}")
    material.write_model(name, where)
    classifiers = {
        runtime: classifier
        for runtime in plan.runtime or RUNTIMES
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
            yield from _rows(name, size, times_ms, tuple(stages))


def _classifier(name: str, where: ModelPaths, runtime: BenchRuntime) -> Classifier | None:
    """Load a model into a runtime; None if that cannot serve it here."""
    if runtime == "eager":
        return eager_classifier(name, where)
    return served_by(runtime, name, where)


def _stages(classifier: Classifier, image: bytes) -> dict[str, Step]:
    """Return each stage alone, with what the one before it gives."""
    opened = decode(image, max_pixels=NO_LIMIT)
    batch = classifier.spec.preprocessing.batch([opened])
    [logits] = classifier.network(batch)
    return {
        "decode": partial(decode, image, max_pixels=NO_LIMIT),
        "preprocess": partial(classifier.spec.preprocessing.batch, [opened]),
        "network": partial(classifier.network, batch),
        "labels": partial(top_k_predictions, logits, classifier.spec.labels, TOP_K),
    }


def _rows(
    name: str, size: Size, times_ms: Mapping[str, Sequence[float]], stages: Sequence[str]
) -> Iterator[Row]:
    eager_ms = times_ms.get("eager")
    sums_ms = [sum(round_ms) for round_ms in zip(*(times_ms[one] for one in stages), strict=True)]
    in_words = ", ".join(f"{stage} {short(median(times_ms[stage]))}" for stage in stages)
    for runtime, values_ms in times_ms.items():
        if runtime in stages:
            continue
        has_stages = runtime in ("onnx", ENGINE)
        yield Row(
            model=name,
            size="{}x{}".format(*size),
            runtime=runtime,
            images_per_second=[1000 / one for one in values_ms],
            of_eager=ratio(eager_ms, values_ms) if eager_ms else "",
            of_stages=ratio(sums_ms, values_ms) if has_stages else "",
            stages_ms=in_words if has_stages else "",
        )


def _targets(row: Row) -> Iterator[Target]:
    if (row.model, row.size, row.runtime) != _OF_TARGETS:
        return
    for least, of_what, measured in (
        (_LEAST_OF_STAGES, "of its stages alone", row.of_stages),
        (_LEAST_OF_EAGER, "times eager torch", row.of_eager),
    ):
        if isinstance(measured, Spread):
            what = f"engine, resnet18, 640x480: at least {least} {of_what}"
            yield at_least(what, least, measured)
