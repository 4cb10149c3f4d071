"""The consumers that are alive."""

from typing import Protocol

from common.jobs import OwnerId
from common.workers import WorkerRecord


class WorkerRegistry(Protocol):
    """The registry of consumers.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def beat(self, worker: WorkerRecord) -> None:
        """Record that *worker* is alive now, and what it serves."""
        ...

    def forget(self, worker_id: OwnerId) -> None:
        """Remove a consumer that stopped cleanly."""
        ...

    def living(self) -> tuple[WorkerRecord, ...]:
        """Return the consumers whose heartbeat is younger than the lease."""
        ...
