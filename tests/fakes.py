"""Hand-written fakes of the ports. The contract tests run against those of the store, too."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from common.errors import (
    BrokerUnavailableError,
    RepeatedSubmissionError,
    StaleJobError,
    StoreUnavailableError,
    UnreadableRecordError,
)
from common.jobs import Job, JobId, JobState, OwnerId
from common.messages import ClassifyMessage
from common.ports.images import Sweep
from common.ports.queues import DeadLetter, QueueDepth
from common.ports.usage import StoreUsage
from common.workers import WorkerRecord
from consumer.errors import Outcome
from engine.protocol import Answer, Question
from tests.examples import TABBY


class InMemoryStore:
    """``JobStore``, ``Outbox`` and ``Images`` in dictionaries; time stands still unless moved."""

    def __init__(self, *jobs: Job, publish_after_s: float = 5.0) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self.images = {job.job_id: b"image" for job in jobs}
        self.finished_s: dict[JobId, float] = {}
        self.publish_due_s: dict[JobId, float] = {}
        self.waiting_s: dict[JobId, float] = {}
        self.pending_since_s: dict[JobId, float] = {}
        self.stored_s: dict[JobId, float] = {}
        self.now_s = 1000.0
        self.is_down = False
        self.unreadable: set[JobId] = set()
        self.unreadable_images: set[JobId] = set()
        self._saves_to_fail = 0
        self._adding = threading.Lock()
        self._publish_after_s = publish_after_s

    def fail_next_saves(self, count: int) -> None:
        self._saves_to_fail = count

    def add(self, job: Job, image: bytes) -> None:
        self._be_reached()
        with self._adding:
            if job.idempotency is not None and self.find_by_key(job.idempotency.key) is not None:
                raise RepeatedSubmissionError(job.job_id)
            self._add(job, image)

    def _add(self, job: Job, image: bytes) -> None:
        self.store_image(job.job_id, image)
        self.jobs[job.job_id] = job
        self.pending_since_s[job.job_id] = self.now_s
        self.publish_due_s[job.job_id] = self.now_s + self._publish_after_s

    def store_image(self, job_id: JobId, image: bytes) -> None:
        """Keep an image, perhaps without a job."""
        self.images[job_id] = image
        self.stored_s[job_id] = self.now_s

    def find_by_key(self, idempotency_key: str) -> Job | None:
        self._be_reached()
        for job in self.jobs.values():
            if job.idempotency is not None and job.idempotency.key == idempotency_key:
                return self._read(job.job_id)
        return None

    def get(self, job_id: JobId) -> Job | None:
        self._be_reached()
        return self._read(job_id)

    def image(self, job_id: JobId) -> bytes | None:
        self._be_reached()
        if job_id in self.unreadable_images:
            raise UnreadableRecordError(job_id)
        return self.images.get(job_id)

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        self._be_reached()
        job = self.jobs.get(job_id)
        if job is None or job.state is not JobState.PENDING or job.fence != fence:
            return None
        self.jobs[job_id] = replace(job.claim(owner), started_at=datetime.now(UTC))
        self._be_neither_due_nor_waiting(job_id)
        return self._read(job_id)

    def put_back(self, job_id: JobId, *, fence: int, owner: OwnerId) -> None:
        self._be_reached()
        job = self.jobs.get(job_id)
        if job is None or (job.state, job.fence) != (JobState.PROCESSING, fence):
            return
        if job.owner == owner:
            self.jobs[job_id] = replace(
                job,
                state=JobState.PENDING,
                fence=fence + 1,
                attempts=job.attempts - 1,
                owner=None,
                started_at=None,
            )
            self.publish_due_s[job_id] = self.pending_since_s[job_id] = self.now_s

    def save(self, job: Job, *, previous: Job) -> None:
        self._be_reached()
        if self._saves_to_fail:
            self._saves_to_fail -= 1
            raise StoreUnavailableError("the store went away")
        self._be_unmoved(previous)
        self._be_neither_due_nor_waiting(job.job_id)
        if job.state is JobState.PENDING:
            self.publish_due_s[job.job_id] = self.pending_since_s[job.job_id] = self.now_s
            self.finished_s.pop(job.job_id, None)
        if job.is_finished:
            job = replace(job, finished_at=datetime.now(UTC))
            self.finished_s[job.job_id] = self.now_s
        self.jobs[job.job_id] = job

    def delete(self, job: Job) -> None:
        self.delete_image(job.job_id)
        self._be_unmoved(job)
        del self.jobs[job.job_id]
        self._be_neither_due_nor_waiting(job.job_id)
        self.finished_s.pop(job.job_id, None)

    def delete_image(self, job_id: JobId) -> None:
        self._be_reached()
        self.images.pop(job_id, None)
        self.stored_s.pop(job_id, None)

    def mark_published(self, *jobs: Job) -> None:
        self._be_reached()
        for job in jobs:
            self._mark_published(job)

    def _mark_published(self, job: Job) -> None:
        stored = self.jobs.get(job.job_id)
        if self._is_still_pending(job) and stored and stored.republished <= job.republished:
            self.publish_due_s.pop(job.job_id, None)
            self.waiting_s[job.job_id] = self.now_s
            self.jobs[job.job_id] = replace(stored, published_at=datetime.now(UTC))

    def take_unpublished(self, *, lease_s: float) -> Job | None:
        self._be_reached()
        for job_id, due_s in self.publish_due_s.items():
            if due_s <= self.now_s:
                self.publish_due_s[job_id] = self.now_s + lease_s
                return self.jobs[job_id]
        return None

    def processing(self) -> Iterable[Job]:
        self._be_reached()
        return [job for job in self.jobs.values() if job.state is JobState.PROCESSING]

    def newest_claim_ms(self) -> int | None:
        since_s = [self.pending_since_s.get(job.job_id, 0) for job in self.processing()]
        return int(max(since_s) * 1000) if since_s else None

    def oldest_waiting_ms(self) -> int | None:
        self._be_reached()
        since_s = [
            self.pending_since_s.get(job.job_id, 0)
            for job in self.jobs.values()
            if job.state is JobState.PENDING
        ]
        return int(min(since_s) * 1000) if since_s else None

    def waiting(self, *, queued_before_ms: int, at_most: int) -> Sequence[Job]:
        self._be_reached()
        found = (
            self.jobs[job_id]
            for job_id, waiting_s in self.waiting_s.items()
            if waiting_s * 1000 < queued_before_ms
        )
        return list(islice(found, at_most))

    def publish_again(
        self, job: Job, *, after_s: float, queued_before_ms: int | None = None
    ) -> bool:
        self._be_reached()
        waiting_s = self.waiting_s.get(job.job_id)
        if waiting_s is None or not self._is_still_pending(job):
            return False
        if queued_before_ms is not None and waiting_s * 1000 >= queued_before_ms:
            return False
        del self.waiting_s[job.job_id]
        self.publish_due_s[job.job_id] = self.now_s + after_s
        stored = self.jobs[job.job_id]
        self.jobs[job.job_id] = replace(stored, republished=stored.republished + 1)
        return True

    def delete_orphans(self, *, from_ms: int, until_ms: int) -> Sweep:
        self._be_reached()
        orphans = [
            job_id
            for job_id, stored_s in self.stored_s.items()
            if from_ms <= stored_s * 1000 < until_ms and job_id not in self.jobs
        ]
        for job_id in orphans:
            del self.images[job_id], self.stored_s[job_id]
        return Sweep(len(orphans), until_ms)

    def expire(self, *, retention_s: float) -> int:
        self._be_reached()
        expired = [
            job_id
            for job_id, finished_s in self.finished_s.items()
            if finished_s <= self.now_s - retention_s
        ]
        for job_id in expired:
            self.delete_image(job_id)
            del self.jobs[job_id], self.finished_s[job_id]
        return len(expired)

    def _read(self, job_id: JobId) -> Job | None:
        if job_id in self.unreadable:
            raise UnreadableRecordError(job_id)
        return self.jobs.get(job_id)

    def _be_neither_due_nor_waiting(self, job_id: JobId) -> None:
        self.publish_due_s.pop(job_id, None)
        self.waiting_s.pop(job_id, None)

    def _is_still_pending(self, job: Job) -> bool:
        stored = self.jobs.get(job.job_id)
        return stored is not None and (stored.state, stored.fence) == (JobState.PENDING, job.fence)

    def _be_unmoved(self, job: Job) -> None:
        stored = self.jobs.get(job.job_id)
        if stored is None or (stored.state, stored.fence) != (job.state, job.fence):
            raise StaleJobError(job.job_id)

    def _be_reached(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")


class InMemoryRegistry:
    """``WorkerRegistry`` in a dictionary; time stands still unless moved."""

    def __init__(self, *workers: WorkerRecord, lease_s: float = 15.0) -> None:
        self.now_s = 1000.0
        self.is_down = False
        self._lease_s = lease_s
        self._beats: dict[OwnerId, tuple[float, WorkerRecord]] = {}
        for worker in workers:
            self.beat(worker)

    def beat(self, worker: WorkerRecord) -> None:
        self._be_reached()
        self._beats[worker.worker_id] = (self.now_s, worker)

    def forget(self, worker_id: OwnerId) -> None:
        self._be_reached()
        self._beats.pop(worker_id, None)

    def living(self) -> tuple[WorkerRecord, ...]:
        self._be_reached()
        return tuple(
            worker for beat_s, worker in self._beats.values() if beat_s > self.now_s - self._lease_s
        )

    def _be_reached(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")


class InMemoryEvidence:
    """``BrokerEvidence`` in a variable; time stands still unless moved."""

    def __init__(self, *, lease_s: float = 15.0) -> None:
        self.now_s = 1000.0
        self.is_down = False
        self.noted = 0
        self._lease_s = lease_s
        self._latest: tuple[float, str] | None = None

    def note(self, trouble: str) -> None:
        self._be_reached()
        self.noted += 1
        self._latest = (self.now_s, trouble)

    def latest(self) -> str | None:
        self._be_reached()
        if self._latest is None or self._latest[0] <= self.now_s - self._lease_s:
            return None
        return self._latest[1]

    def _be_reached(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")


class RecordingPublisher:
    """Keeps what is published, while it is open."""

    def __init__(self) -> None:
        self.published: list[ClassifyMessage] = []
        self.is_open = True

    @property
    def trouble(self) -> str:
        return "" if self.is_open else "RabbitMQ is down"

    def publish(self, message: ClassifyMessage) -> None:
        if not self.is_open:
            raise BrokerUnavailableError("RabbitMQ is down")
        self.published.append(message)


class InMemoryQueues:
    """``Publisher``, ``WatchedQueue`` and ``DeadLetterQueue``: two queues in two lists."""

    def __init__(self) -> None:
        self.ready: list[ClassifyMessage] = []
        self.dead: list[DeadLetter] = []
        self.is_missing = False
        self.is_open = True

    def publish(self, message: ClassifyMessage) -> None:
        self._be_reached()
        self.ready.append(message)

    def depth(self) -> QueueDepth:
        self._be_reached()
        is_new, self.is_missing = self.is_missing, False
        return QueueDepth(0 if is_new else len(self.ready), is_new=is_new)

    @contextmanager
    def dead_letter(self) -> Iterator[DeadLetter | None]:
        self._be_reached()
        yield self.dead[0] if self.dead else None
        del self.dead[:1]

    def _be_reached(self) -> None:
        if not self.is_open:
            raise BrokerUnavailableError("RabbitMQ is down")


class CannedEngines:
    """Answers every request with the same outcome."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome: Outcome = outcome or Answer((TABBY,), "sha256:0", 1.0)
        self.batches: list[Sequence[Question]] = []
        self.before_outcome: Callable[[], object] = lambda: None

    @property
    def questions(self) -> list[Question]:
        return [question for batch in self.batches for question in batch]

    def wait_until_ready(self) -> None:
        pass

    def ask(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        self.batches.append(questions)
        for _ in questions:
            self.before_outcome()
            yield self.outcome


class FixedUsage:
    """A store whose calls take as long as a test says."""

    def __init__(self, usage: StoreUsage | None = None) -> None:
        self.usage = usage or StoreUsage(used_bytes=0)
        self.error: Exception | None = None
        self.measured = 0

    def measure(self) -> StoreUsage:
        self.measured += 1
        if self.error is not None:
            raise self.error
        return self.usage


class Clock:
    """Stands in for the module ``time``: only sleeping advances it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
