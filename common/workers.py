"""What a consumer tells of itself: that it lives, and which models it serves."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.jobs import OwnerId

# A worker may miss two heartbeats and still count as alive.
HEARTBEATS_A_LEASE: Final = 3


class ModelState(StrEnum):
    LOADING = "loading"
    READY = "ready"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """One model as one consumer sees it.

    Args:
        name: As ``DARKROOM_MODELS`` has it.
        state: Whether it can be asked.
        reason: Why it is unavailable.
        version: A digest of all that decides its answers.
        labels: How many it tells apart; 0 if it does not say.
        description: One line for people.
        precision: What it computes in: float32, bf16 or int8.
        runtime: What computes it.
        remark: What is not as it was asked for, or not exact.
        threads: How many compute one image.
        engines: How many processes of a consumer serve it.
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
        worker_id: What it holds jobs under.
        host: Its machine.
        pid: Its process there.
        models: What it serves.
        trouble: Why it does not consume; empty if RabbitMQ has confirmed that it does, and of
            a worker of an earlier version, which does not say.
        lacks: Which of the accepted image formats it cannot decode.
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
    """Return the image formats that some worker cannot decode: any of them may get the next job."""
    return frozenset(name for worker in workers for name in worker.lacks)


_PREFERENCE = (ModelState.READY, ModelState.LOADING, ModelState.UNAVAILABLE)


def merge_models(workers: Iterable[WorkerRecord]) -> dict[str, ServedModel]:
    """Combine what several workers say of each model."""
    return best_of(model for worker in workers for model in worker.models)


def best_of(models: Iterable[ServedModel]) -> dict[str, ServedModel]:
    """Combine what is said of each model, by its name: the best state counts."""
    best: dict[str, ServedModel] = {}
    for model in models:
        known = best.get(model.name)
        if known is None or _PREFERENCE.index(model.state) < _PREFERENCE.index(known.state):
            best[model.name] = model
    return best
