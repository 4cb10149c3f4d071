"""The consumers that are alive."""

from typing import Protocol

from common.jobs import OwnerId
from common.workers import WorkerRecord


class WorkerRegistry(Protocol):
    """Who consumes.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def beat(self, worker: WorkerRecord) -> None:
        """Record that *worker* lives now, and what it serves."""
        ...

    def forget(self, worker_id: OwnerId) -> None:
        """Remove a worker that stopped cleanly."""
        ...

    def living(self) -> tuple[WorkerRecord, ...]:
        """Return the workers whose heartbeat is younger than the lease."""
        ...
