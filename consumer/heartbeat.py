"""Show in the registry that this consumer lives, and what it serves."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Self

import structlog

from common.errors import StoreRefusedError, StoreUnavailableError
from common.ports.workers import WorkerRegistry
from common.workers import HEARTBEATS_PER_LEASE, ServedModel, WorkerRecord

log = structlog.stdlib.get_logger(__name__)

# After an outage all heartbeats are old: consumers must beat before the courier rescues.
_REPEAT_AFTER_S: Final = 1.0


class Heartbeat:
    """Records, in a thread of its own, that this consumer lives.

    Args:
        registry: Where the heartbeats go.
        describe: Returns the record of this consumer; called at each beat.
        lease_s: After this long without a beat the consumer counts as dead.
    """

    def __init__(
        self, registry: WorkerRegistry, describe: Callable[[], WorkerRecord], *, lease_s: float
    ) -> None:
        self._registry = registry
        self._describe = describe
        self._interval_s = lease_s / HEARTBEATS_PER_LEASE
        self._due = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @contextmanager
    def beating(self) -> Iterator[Self]:
        """Beat while the block runs, and then remove the consumer from the registry."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping = True
            self._due.set()
            self._thread.join()
            self._forget()

    def _forget(self) -> None:
        try:
            self._registry.forget(self._describe().worker_id)
        except (StoreUnavailableError, StoreRefusedError) as exc:  # then the lease runs out
            log.warning("could not remove this worker from the registry", error=str(exc))

    def beat_now(self) -> None:
        """Beat at once: something has changed."""
        self._due.set()

    def _run(self) -> None:
        while not self._stopping:
            self._due.clear()
            self._due.wait(self._beat())

    def _beat(self) -> float:
        """Beat, and return the seconds until the next beat."""
        try:
            self._tell(self._describe())
        except (StoreUnavailableError, StoreRefusedError) as exc:
            log.warning("could not send a heartbeat", error=str(exc))
        except Exception:  # a consumer whose heartbeats end seems dead, whatever ended them
            log.exception("could not send a heartbeat")
        else:
            return self._interval_s
        return min(_REPEAT_AFTER_S, self._interval_s)

    def _tell(self, worker: WorkerRecord) -> None:
        try:
            self._registry.beat(worker)
        except StoreRefusedError as exc:
            # A consumer is alive even if the store refuses the description of its models.
            log.error("the store refused the heartbeat", reason=str(exc))  # noqa: TRY400
            self._registry.beat(_undescribed(worker))


def _undescribed(worker: WorkerRecord) -> WorkerRecord:
    """Leave out the texts that come from models."""
    models = tuple(ServedModel(name=model.name, state=model.state) for model in worker.models)
    return replace(worker, models=models)
