"""Hand-written twins of the ports; the contract tests keep those of the store honest."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from common.errors import (
    BrokerUnavailableError,
    RepeatedSubmissionError,
    StaleJobError,
    StoreUnavailableError,
)
from common.jobs import Job, JobId, JobState, OwnerId
from common.messages import ClassifyMessage
from common.workers import Worker
from consumer.protocol import Answer, Question, Reply
from tests.examples import TABBY


class InMemoryStore:
    """``JobStore`` and ``Outbox`` in two dictionaries; time stands still unless moved."""

    def __init__(self, *jobs: Job, publish_after_s: float = 5.0) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self.images = {job.job_id: b"image" for job in jobs}
        self.finished_s: dict[JobId, float] = {}
        self.publish_due_s: dict[JobId, float] = {}
        self.now_s = 1000.0
        self.is_down = False
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
        self.images[job.job_id] = image
        self.jobs[job.job_id] = job
        self.publish_due_s[job.job_id] = self.now_s + self._publish_after_s

    def find_by_key(self, idempotency_key: str) -> Job | None:
        self._be_reached()
        for job in self.jobs.values():
            if job.idempotency is not None and job.idempotency.key == idempotency_key:
                return job
        return None

    def get(self, job_id: JobId) -> Job | None:
        self._be_reached()
        return self.jobs.get(job_id)

    def image(self, job_id: JobId) -> bytes | None:
        self._be_reached()
        return self.images.get(job_id)

    def claim(self, job_id: JobId, *, fence: int, owner: OwnerId) -> Job | None:
        self._be_reached()
        job = self.jobs.get(job_id)
        if job is None or job.state is not JobState.PENDING or job.fence != fence:
            return None
        self.jobs[job_id] = replace(job.claim(owner), started_at=datetime.now(UTC))
        self.publish_due_s.pop(job_id, None)
        return self.jobs[job_id]

    def save(self, job: Job, *, previous: Job) -> None:
        self._be_reached()
        if self._saves_to_fail:
            self._saves_to_fail -= 1
            raise StoreUnavailableError("the store went away")
        stored = self.jobs.get(job.job_id)
        if stored is None or (stored.state, stored.fence) != (previous.state, previous.fence):
            raise StaleJobError(job.job_id)
        if job.state is JobState.PENDING:
            self.publish_due_s[job.job_id] = self.now_s
            self.finished_s.pop(job.job_id, None)
        if job.is_finished:
            job = replace(job, finished_at=datetime.now(UTC))
            self.finished_s[job.job_id] = self.now_s
        self.jobs[job.job_id] = job

    def mark_published(self, job_id: JobId, *, fence: int) -> None:
        self._be_reached()
        job = self.jobs.get(job_id)
        if job is not None and job.fence == fence:
            self.publish_due_s.pop(job_id, None)
            self.jobs[job_id] = replace(job, published_at=datetime.now(UTC))

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

    def expire(self, *, retention_s: float) -> int:
        self._be_reached()
        expired = [
            job_id
            for job_id, finished_s in self.finished_s.items()
            if finished_s <= self.now_s - retention_s
        ]
        for job_id in expired:
            del self.jobs[job_id], self.images[job_id], self.finished_s[job_id]
        return len(expired)

    def _be_reached(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")


class InMemoryRegistry:
    """``WorkerRegistry`` in a dictionary; time stands still unless moved."""

    def __init__(self, *workers: Worker, lease_s: float = 15.0) -> None:
        self.now_s = 1000.0
        self.is_down = False
        self._lease_s = lease_s
        self._beats: dict[OwnerId, tuple[float, Worker]] = {}
        for worker in workers:
            self.beat(worker)

    def beat(self, worker: Worker) -> None:
        self._be_reached()
        self._beats[worker.worker_id] = (self.now_s, worker)

    def forget(self, worker_id: OwnerId) -> None:
        self._be_reached()
        self._beats.pop(worker_id, None)

    def living(self) -> tuple[Worker, ...]:
        self._be_reached()
        return tuple(
            worker for beat_s, worker in self._beats.values() if beat_s > self.now_s - self._lease_s
        )

    def _be_reached(self) -> None:
        if self.is_down:
            raise StoreUnavailableError("the store is down")


class RecordingPublisher:
    """Keeps what is published, while it is open."""

    def __init__(self) -> None:
        self.published: list[ClassifyMessage] = []
        self.is_open = True

    def publish(self, message: ClassifyMessage) -> None:
        if not self.is_open:
            raise BrokerUnavailableError("RabbitMQ is down")
        self.published.append(message)


class CannedClassifier:
    """Replies to every question with the same, or raises it."""

    def __init__(self, reply: Reply | Exception | None = None) -> None:
        self.reply = reply or Answer((TABBY,), "sha256:0", 1.0)
        self.questions: list[Question] = []
        self.before_reply: Callable[[], object] = lambda: None

    def wait_until_ready(self) -> None:
        pass

    def ask(self, question: Question) -> Reply:
        self.questions.append(question)
        self.before_reply()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply
