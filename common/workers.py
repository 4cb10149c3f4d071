"""The record of a consumer: that it is alive, and which models it serves."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.jobs import OwnerId

# A consumer may miss two heartbeats and still count as alive.
HEARTBEATS_PER_LEASE: Final = 3


class ModelState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One model as one consumer sees it.

    Args:
        name: As in ``DARKROOM_MODELS``.
        state: Whether it can be used.
        reason: Why it is unavailable.
        version: A digest of everything that affects its answers.
        labels: The number of labels; 0 if unknown.
        description: One line for people.
        precision: The type that most of its arithmetic uses: float32, half, bfloat16 or int8.
        runtime: The runtime that computes it.
        remark: What differs from what was asked for, or is not exact.
        threads: The number of threads that compute one image.
        engines: The number of engines of a consumer.
    """

    name: str
    state: ModelState
    reason: str = ""
    version: str = ""
    labels: int = 0
    description: str = ""
    precision: str = ""
    runtime: str = ""
    remark: str = ""
    threads: int = 0
    engines: int = 0

    @property
    def is_ready(self) -> bool:
        return self.state is ModelState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """One consumer process. Its id is new at every start, so a restart is a new owner.

    Args:
        worker_id: The owner of its jobs.
        host: Its machine.
        pid: Its process there.
        models: The models that it serves.
        trouble: Why it does not consume; empty if RabbitMQ has confirmed that it does, and for
            consumers of an earlier version, which do not report it.
        lacks: The accepted image formats that it cannot decode.
    """

    worker_id: OwnerId
    host: str
    pid: int
    models: tuple[ServedModel, ...]
    trouble: str = ""
    lacks: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        return any(model.is_ready for model in self.models)


def lacked_formats(workers: Iterable[WorkerRecord]) -> frozenset[str]:
    """Return the image formats that some consumer cannot decode: any may get the next job."""
    return frozenset(name for worker in workers for name in worker.lacks)


_PREFERENCE = (ModelState.READY, ModelState.LOADING, ModelState.UNAVAILABLE)


def merge_models(workers: Iterable[WorkerRecord]) -> dict[str, ServedModel]:
    """Combine the models of several consumers."""
    return best_of(model for worker in workers for model in worker.models)


def best_of(models: Iterable[ServedModel]) -> dict[str, ServedModel]:
    """Combine models by name: the best state counts."""
    best: dict[str, ServedModel] = {}
    for model in models:
        known = best.get(model.name)
        if known is None or _PREFERENCE.index(model.state) < _PREFERENCE.index(known.state):
            best[model.name] = model
    return best
