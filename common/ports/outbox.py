"""The jobs as the courier uses them: what is due, processing, waiting, expired."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from common.jobs import Job, JobId


class Outbox(Protocol):
    """The courier's view of the store.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``. Methods that look
    for jobs skip records that this version cannot read; ``get`` raises
    ``UnreadableRecordError``.
    """

    def take_unpublished(self, *, lease_s: float) -> Job | None:
        """Take a job whose publishing is due, so that no other courier does for *lease_s*."""
        ...

    def mark_published(self, *jobs: Job) -> None:
        """Record that the messages of *jobs* reached the queue; jobs that moved on are skipped."""
        ...

    def processing(self) -> Iterable[Job]:
        """Return the jobs whose state is processing."""
        ...

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first."""
        ...

    def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if it is unknown or expired."""
        ...

    def newest_claim_ms(self) -> int | None:
        """Return the latest ``pending_since_ms`` among the processing jobs, or None."""
        ...

    def oldest_waiting_ms(self) -> int | None:
        """Return the earliest ``pending_since_ms`` among the pending jobs, or None."""
        ...

    def waiting(self, *, queued_before_ms: int, at_most: int) -> Sequence[Job]:
        """Return some pending jobs whose last message was queued before a time."""
        ...

    def publish_again(
        self, job: Job, *, after_s: float, queued_before_ms: int | None = None
    ) -> bool:
        """Make the publishing of a published job due again after *after_s*.

        Not if somebody moved the job, or its publishing is due already, or if its last message
        was queued at *queued_before_ms* or later. Returns whether it is.
        """
        ...

    def expire(self, *, retention_s: float) -> int:
        """Delete some jobs that finished longer ago than *retention_s*; return how many."""
        ...
