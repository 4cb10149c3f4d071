"""A model alone: in this process, and in an engine process that this one asks.

An engine is asked as a consumer asks it, by two lanes: the next image is there when one is done.
And it is kept to one core, also what only receives and decodes in it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Final

import psutil

from common.jobs import JobId
from common.settings.consumer import Runtime
from common.settings.shared import LANES_PER_ENGINE
from consumer.engines.keeper import EngineKeeper
from consumer.engines.process import EngineLimits
from engine.decoding.decode import decode
from engine.models.classifier import Classifier
from engine.models.loading import load_model
from engine.models.model import classify
from engine.models.paths import ModelPaths
from engine.protocol import EngineConfig, Question

TOP_K: Final = 5
NO_LIMIT: Final = 10**9
AT_ONCE: Final = 4  # images that a call to an engine asks for


def served_by(runtime: Runtime, name: str, where: ModelPaths) -> Classifier | None:
    """Load a model as an engine does; None if another runtime would serve it instead."""
    model = load_model(name, where, runtime=runtime, threads=1)
    return model if isinstance(model, Classifier) and model.runtime == runtime else None


def whole(classifier: Classifier, image: bytes) -> object:
    """Classify a file: decode, preprocess, compute, label."""
    return classify(classifier, [decode(image, max_pixels=NO_LIMIT)], top_k=TOP_K)


@contextmanager
def running_engine(
    name: str, where: ModelPaths, *, runtime: Runtime = "onnx"
) -> Iterator[Callable[[bytes], object]]:
    """Run an engine with one model, one thread and one core.

    Yields:
        What asks it ``AT_ONCE`` times what is in an image, by two lanes.
    """
    config = EngineConfig(
        models=(name,),
        models_dir=where.models,
        weights_dir=where.weights,
        threads=1,
        lines=LANES_PER_ENGINE,
        runtime=runtime,
        max_image_pixels=NO_LIMIT,
        log_level="WARNING",
        log_format="console",
    )
    limits = EngineLimits(start_s=300, job_s=300)
    with (
        closing(EngineKeeper(config, limits=limits, stopping=threading.Event())) as engine,
        ThreadPoolExecutor(LANES_PER_ENGINE) as lanes,
    ):
        engine.start()
        while not engine.is_ready:
            time.sleep(0.05)
        if engine.pid is not None and hasattr(os, "sched_setaffinity"):
            core = max(os.sched_getaffinity(0))
            for thread in psutil.Process(engine.pid).threads():
                os.sched_setaffinity(thread.id, {core})

        def ask(image: bytes) -> object:
            question = Question(JobId("j"), image, name, TOP_K)
            return list(lanes.map(lambda _: list(engine.ask([question])), range(AT_ONCE)))

        yield ask


def images_per_second(name: str, where: ModelPaths, image: bytes, *, for_s: float) -> float:
    """Start an engine with the service's default runtime; measure its images per second."""
    with running_engine(name, where) as ask:
        ask(image)
        answered, started_s = 0, time.perf_counter()
        while (took_s := time.perf_counter() - started_s) < for_s:
            ask(image)
            answered += AT_ONCE
        return answered / took_s
