"""What the API writes for a submission, past the service: the store's own part."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo import monitoring

from common.jobs import Image, Job, JobId, new_job_id
from common.mongo.connection import ServerClock, connect, open_database
from common.mongo.jobs import MongoJobStore

_TIMEOUT_S = 60.0


class Writer:
    """Writes jobs as the API does, with its classes and its write concern."""

    def __init__(self, url: str, database: str, *, model: str) -> None:
        opened = open_database(connect(url, timeout_s=_TIMEOUT_S), database)
        self.jobs = MongoJobStore(opened, now_ms=ServerClock(opened).now_ms, publish_after_s=3600)
        self._model = model

    def submit(self, image: bytes) -> JobId:
        """Write image and record, then note that the message was published."""
        job = a_job(self._model, len(image))
        self.jobs.add(job, image)
        self.jobs.mark_published(job)
        return job.job_id


class StoreTime(monitoring.CommandListener):
    """Adds up how long the store's answers take, to all clients that are made after it."""

    def __init__(self) -> None:
        self.total_ms = 0.0
        monitoring.register(self)

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Nothing is known yet."""

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self.total_ms += event.duration_micros / 1000

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self.total_ms += event.duration_micros / 1000


@dataclass(slots=True)
class Lap:
    """How long a block took, and how much of it the store."""

    total_ms: float = 0.0
    store_ms: float = 0.0


@contextmanager
def lap(store_time: StoreTime) -> Iterator[Lap]:
    """Time a block in which only one thread speaks to the store."""
    timed = Lap()
    before_ms, started_s = store_time.total_ms, time.perf_counter()
    yield timed
    timed.total_ms = (time.perf_counter() - started_s) * 1000
    timed.store_ms = store_time.total_ms - before_ms


def a_job(model: str, image_bytes: int) -> Job:
    """Make a job as a submission does."""
    now = datetime.now(UTC)
    return Job(
        job_id=new_job_id(),
        model=model,
        top_k=5,
        image=Image(
            sha256="0" * 64, bytes=image_bytes, format="JPEG", width=640, height=480, source="body"
        ),
        metadata={},
        created_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
    )
