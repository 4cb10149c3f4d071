"""The service's engine process alone, asked by its parent: no other module here speaks to it.

It is asked as a consumer asks it, by two lanes: the next image is there when one is done. And it
is kept to one core, also what only receives and decodes in it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psutil

from common.jobs import JobId
from common.settings import LANES_AN_ENGINE, Runtime
from consumer.engines.keeper import Engine
from consumer.engines.process import Limits
from engine.models.places import Places
from engine.protocol import EngineConfig, Question

TOP_K = 5
NO_LIMIT = 10**9
# Images that a call asks for.
AT_ONCE = 4
_LOOK_AGAIN_S = 0.05


@contextmanager
def running_engine(
    name: str, where: Places, *, runtime: Runtime = "onnx"
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
        lines=LANES_AN_ENGINE,
        runtime=runtime,
        max_image_pixels=NO_LIMIT,
        log_level="WARNING",
        log_format="console",
    )
    limits = Limits(start_s=300, job_s=300)
    with (
        closing(Engine(config, limits=limits, stopping=threading.Event())) as engine,
        ThreadPoolExecutor(LANES_AN_ENGINE) as lanes,
    ):
        engine.start()
        while not engine.is_ready:
            time.sleep(_LOOK_AGAIN_S)
        _keep_to_one_core(engine.pid)

        def ask(image: bytes) -> object:
            question = Question(JobId("j"), image, name, TOP_K)
            return list(lanes.map(lambda _: list(engine.ask([question])), range(AT_ONCE)))

        yield ask


def _keep_to_one_core(pid: int | None) -> None:
    if pid is not None and hasattr(os, "sched_setaffinity"):
        core = max(os.sched_getaffinity(0))
        for thread in psutil.Process(pid).threads():
            os.sched_setaffinity(thread.id, {core})


def images_a_second(name: str, where: Places, image: bytes, *, for_s: float) -> float:
    """Start an engine of the service's default runtime, and count what it answers."""
    with running_engine(name, where) as ask:
        ask(image)
        answered, started_s = 0, time.perf_counter()
        while (took_s := time.perf_counter() - started_s) < for_s:
            ask(image)
            answered += AT_ONCE
        return answered / took_s
