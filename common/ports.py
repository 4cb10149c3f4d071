"""What the roles ask of the outside world, in their own words."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from common.jobs import Job, JobId, OwnerId
from common.messages import ClassifyMessage
from common.workers import Worker


class JobStore(Protocol):
    """Jobs and their images.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``. Those that return
    a job or an image raise ``UnreadableRecordError`` where this version cannot read what is there.
    """

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

    def put_back(self, job_id: JobId, *, fence: int, owner: OwnerId) -> None:
        """Undo the claim of *owner* that led to *fence*, if it still holds; it costs no attempt.

        For a record that this version cannot read.
        """
        ...

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *previous*.
        """
        ...

    def delete(self, job: Job) -> None:
        """Delete the job with its image, unless somebody moved it first.

        Raises:
            StaleJobError: The stored job is no longer *job*; its image may be gone already.
        """
        ...

    def delete_image(self, job_id: JobId) -> None:
        """Delete the image of a job that will need it no more."""
        ...

    def mark_published(self, *jobs: Job) -> None:
        """Note that the messages of *jobs* reached the queue, but not of those that moved on."""
        ...


class Outbox(Protocol):
    """The courier's view of the store.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``. Methods that look
    for jobs pass over records that this version cannot read; ``get`` raises
    ``UnreadableRecordError``.
    """

    def take_unpublished(self, *, lease_s: float) -> Job | None:
        """Take a job whose publishing is due, so that no other courier does for *lease_s*."""
        ...

    def mark_published(self, *jobs: Job) -> None:
        """Note that the messages of *jobs* reached the queue, but not of those that moved on."""
        ...

    def processing(self) -> Iterable[Job]:
        """Return the jobs that are being worked on, or seem to be."""
        ...

    def save(self, job: Job, *, previous: Job) -> None:
        """Replace *previous* by *job*, unless somebody moved it first."""
        ...

    def get(self, job_id: JobId) -> Job | None:
        """Return the job, or None if it is unknown or expired."""
        ...

    def newest_claim_ms(self) -> int | None:
        """Return since when the youngest of the jobs being worked on had waited; None without."""
        ...

    def oldest_waiting_ms(self) -> int | None:
        """Return since when the oldest pending job has been pending, or None if there is none."""
        ...

    def waiting(self, *, queued_before_ms: int, at_most: int) -> Sequence[Job]:
        """Return some pending jobs whose last message was queued before a time."""
        ...

    def publish_again(
        self, job: Job, *, after_s: float, queued_before_ms: int | None = None
    ) -> bool:
        """Let a published job's publishing be due again after *after_s*.

        Not if somebody moved the job, or its publishing is due already, or if its last message
        was queued at *queued_before_ms* or later. Returns whether it is.
        """
        ...

    def expire(self, *, retention_s: float) -> int:
        """Delete some jobs that finished longer ago than *retention_s*; return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was deleted, and the time from which on to sweep next."""

    deleted: int
    next_ms: int


class Images(Protocol):
    """The courier's view of the images.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def delete_orphans(self, *, from_ms: int, until_ms: int) -> Sweep:
        """Delete those without a job among the first images stored from *from_ms* on.

        Only such as were stored before *until_ms*.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """What the jobs and images take.

    Args:
        used_bytes: What they take now.
        reusable_bytes: What others took that are gone: space for new ones, but no other files.
        free_bytes: What the store's disk has left; None where the store does not say.
    """

    used_bytes: int
    reusable_bytes: int = 0
    free_bytes: int | None = None


class UsageMeter(Protocol):
    """Counts for the store. May raise ``StoreUnavailableError`` and ``StoreRefusedError``."""

    def measure(self) -> StoreUsage:
        """Return what the jobs and images take; cheap, however many there are."""
        ...


class WorkerRegistry(Protocol):
    """Who consumes.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def beat(self, worker: Worker) -> None:
        """Record that *worker* lives now, and what it serves."""
        ...

    def forget(self, worker_id: OwnerId) -> None:
        """Remove a worker that stopped cleanly."""
        ...

    def living(self) -> tuple[Worker, ...]:
        """Return the workers whose heartbeat is younger than the lease."""
        ...


class BrokerEvidence(Protocol):
    """What the couriers find out about RabbitMQ.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def note(self, trouble: str) -> None:
        """Record what is wrong with RabbitMQ now; empty if nothing is."""
        ...

    def latest(self) -> str | None:
        """Return what was noted lately; None if nothing was."""
        ...


class Publisher(Protocol):
    def publish(self, message: ClassifyMessage) -> None:
        """Hand *message* to RabbitMQ; return once it is confirmed.

        Raises:
            BrokerUnavailableError: Whether the message arrived is unknown.
        """
        ...


class Disposition(Enum):
    """What becomes of a delivery."""

    ACK = auto()  # the job is saved, or is somebody else's
    REQUEUE = auto()  # this process is stopping; another consumer gets it
    DEAD_LETTER = auto()  # it is no message of ours


# Its result settles the delivery. If it is cancelled, nobody has begun to handle it.
Handled = Future[Disposition]


class Receiver(Protocol):
    """Who takes deliveries. All methods are called in the thread that consumes."""

    def take(self, body: bytes) -> Handled:
        """Begin to handle a delivery, and return at once."""
        ...

    def cancel_waiting(self) -> None:
        """Cancel what nobody has begun to handle: the broker delivers it to others."""
        ...

    def beat(self) -> None:
        """Learn that the broker is still being served; called twice a second or so."""
        ...

    def note_trouble(self, text: str) -> None:
        """Learn what keeps us from consuming, in words for operators; empty if nothing does."""
        ...


class Deliveries(Protocol):
    """Messages of the queue, one delivery each, at least once."""

    def consume(self, receiver: Receiver, *, prefetch_count: int) -> None:
        """Hand each delivery to *receiver*, and settle it, until a stop is asked for.

        Outages of the broker are waited out.

        Raises:
            Exception: Whatever the receiver's results raise: a bug, so the process shall end.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages wait in the queue.

    Args:
        ready: Messages that no consumer has.
        is_new: Whether the queue was missing or unusable, and has been declared anew: what was
            in it is gone.
    """

    ready: int
    is_new: bool = False


class WatchedQueue(Protocol):
    def depth(self) -> QueueDepth:
        """Ask how many messages wait in the queue.

        Raises:
            BrokerUnavailableError: RabbitMQ does not say.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that RabbitMQ took out of the queue, and why, where it says."""

    body: bytes
    reason: str | None


class DeadLetterQueue(Protocol):
    def dead_letter(self) -> AbstractContextManager[DeadLetter | None]:
        """Take a dead letter, if there is one: for good unless the block raises an error.

        Raises:
            BrokerUnavailableError: RabbitMQ does not answer; it keeps the letter.
        """
        ...
