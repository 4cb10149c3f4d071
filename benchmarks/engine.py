"""The service's engine process alone, asked by its parent: no other module here speaks to it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from common.jobs import JobId
from common.settings import Runtime
from consumer.child import Limits
from consumer.engine import Engine
from consumer.models.places import Places
from consumer.protocol import EngineConfig, Question

TOP_K = 5
NO_LIMIT = 10**9
_WARM_UP = 3
_LOOK_AGAIN_S = 0.05


@contextmanager
def running_engine(
    name: str, where: Places, *, runtime: Runtime = "onnx"
) -> Iterator[Callable[[bytes], object]]:
    """Run an engine with one model and one thread; yield what asks it for one image."""
    config = EngineConfig(
        models=(name,),
        models_dir=where.models,
        weights_dir=where.weights,
        threads=1,
        lines=1,
        runtime=runtime,
        max_image_pixels=NO_LIMIT,
        log_level="WARNING",
        log_format="console",
    )
    limits = Limits(start_s=300, job_s=300)
    with closing(Engine(config, limits=limits, stopping=threading.Event())) as engine:
        engine.start()
        while not engine.is_ready:
            time.sleep(_LOOK_AGAIN_S)
        yield lambda image: list(engine.ask([Question(JobId("j"), image, name, TOP_K)]))


def images_a_second(name: str, where: Places, image: bytes, *, for_s: float) -> float:
    """Start an engine of the service's default runtime, and count what it answers."""
    with running_engine(name, where) as ask:
        for _ in range(_WARM_UP):
            ask(image)
        answered, started_s = 0, time.perf_counter()
        while (took_s := time.perf_counter() - started_s) < for_s:
            ask(image)
            answered += 1
        return answered / took_s
