"""What the roles ask of the outside world, in their own words."""

from collections.abc import Iterable
from typing import Protocol

from common.jobs import Job, JobId, OwnerId
from common.messages import ClassifyMessage
from common.workers import Worker


class JobStore(Protocol):
    """Jobs and their images. Every method may raise ``StoreUnavailableError``."""

    def add(self, job: Job, image: bytes) -> None:
        """Record a new pending job and its image, the image first.

        Raises:
            RepeatedSubmissionError: There is a job with its idempotency key; nothing is kept.
        """
        ...

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """Return the job that was submitted with this key, or None."""
        ...

    def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if it is unknown or expired."""
        ...

    def image(self, job_id: JobId) -> bytes | None:
        """Return the bytes of the job's image, or None if it is gone."""
        ...

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        """Take a pending job that still stands at *fence*; None if there is none."""
        ...

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *previous*.
        """
        ...

    def mark_published(self, job_id: JobId, *, fence: int) -> None:
        """Note that the message of the pending job at *fence* reached the queue."""
        ...


class Outbox(Protocol):
    """The courier's view of the store. Every method may raise ``StoreUnavailableError``."""

    def take_unpublished(self, *, lease_s: float) -> Job | None:
        """Take a job whose publishing is due, so that no other courier does for *lease_s*."""
        ...

    def mark_published(self, job_id: JobId, *, fence: int) -> None:
        """Note that the message of the pending job at *fence* reached the queue."""
        ...

    def processing(self) -> Iterable[Job]:
        """Return the jobs that are being worked on, or seem to be."""
        ...

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first."""
        ...

    def expire(self, *, retention_s: float) -> int:
        """Delete some jobs that finished longer ago than *retention_s*; return how many."""
        ...


class WorkerRegistry(Protocol):
    """Who consumes. Every method may raise ``StoreUnavailableError``."""

    def beat(self, worker: Worker) -> None:
        """Record that *worker* lives now, and what it serves."""
        ...

    def forget(self, worker_id: OwnerId) -> None:
        """Remove a worker that stopped cleanly."""
        ...

    def living(self) -> tuple[Worker, ...]:
        """Return the workers whose heartbeat is younger than the lease."""
        ...


class Publisher(Protocol):
    def publish(self, message: ClassifyMessage) -> None:
        """Hand *message* to RabbitMQ; return once it is confirmed.

        Raises:
            BrokerUnavailableError: Whether the message arrived is unknown.
        """
        ...
