"""Records: single ones as the API writes them, and any number as in a store long in use."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pika
from pymongo import monitoring
from pymongo.database import Database

from common.jobs import Image, Job, JobId, JobState, OwnerId, Prediction, Result, new_job_id
from common.messages import ClassifyMessage
from common.mongo.connection import Document, ServerClock, connect, open_database
from common.mongo.documents import to_document
from common.mongo.jobs import MongoJobStore
from common.rabbitmq.topology import EXCHANGE, ROUTING_KEY, declare
from standalone.store import StandaloneStore
from testbed.broker import message_count
from testbed.waiting import wait_for

OWNERS: Final = tuple(OwnerId(f"here-{number}-0a0b0c0d") for number in range(8))
_TIMEOUT_S: Final = 60.0
_QUEUED_WITHIN_S: Final = 600.0
_AT_ONCE: Final = 20_000
_IMAGE: Final = b"a small image" * 20
_RESULT: Final = Result(
    predictions=tuple(Prediction(f"a label of some length {n}", 0.5 / (n + 1)) for n in range(5)),
    model="resnet50",
    model_version="sha256:7c2f0734b0cb4b24",
    queue_ms=12.25,
    inference_ms=31.5,
)

# The store keeps a document as JSON, with its id in it and beside it. :first is one that it has
# written itself, and nobody else writes meanwhile: later rows are copies.
_COPY_IMAGES: Final = """
WITH RECURSIVE
  numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count),
  ids(id) AS MATERIALIZED (SELECT lower(hex(randomblob(16))) FROM numbers)
INSERT INTO images (_id, data)
SELECT ids.id, replace(first.data, first._id, ids.id)
FROM ids, (SELECT _id, data FROM images WHERE _id = :first) AS first
"""
_COPY_JOBS: Final = """
INSERT INTO jobs (_id, data)
SELECT copies._id, replace(first.data, first._id, copies._id)
FROM images AS copies, (SELECT _id, data FROM jobs WHERE _id = :first) AS first
WHERE copies.id > (SELECT id FROM images WHERE _id = :first)
"""


class Writer:
    """Writes jobs as the API does, with its classes and its write concern."""

    def __init__(self, url: str, database: str, *, model: str) -> None:
        opened = open_database(connect(url, timeout_s=_TIMEOUT_S), database)
        self.jobs = MongoJobStore(opened, now_ms=ServerClock(opened).now_ms, publish_after_s=3600)
        self._model = model

    def submit(self, image: bytes) -> JobId:
        """Write image and record, then note that the message was published."""
        job = _a_job(self._model, len(image))
        self.jobs.add(job, image)
        self.jobs.mark_published(job)
        return job.job_id


def _a_job(model: str, image_bytes: int) -> Job:
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


class StoreTime(monitoring.CommandListener):
    """Adds up the store's answer times, for all clients that are made after it."""

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


class Filler:
    """Adds jobs with their images to a running store.

    Its files take copies of a document many times as fast as its protocol does.
    """

    def __init__(
        self, database: Database[Document], store: StandaloneStore, *, now_ms: int
    ) -> None:
        self._database = database
        self._file = store.folder / "databases" / f"{database.name}.db"
        self._now_ms = now_ms

    def add(self, state: JobState, count: int) -> None:
        """Add *count* jobs in *state*: pending and published, processing or done."""
        for start in range(0, count, _AT_ONCE):
            first = new_job_id()
            image = {"_id": first, "bytes": _IMAGE, "stored_ms": self._now_ms}
            self._database["images"].insert_one(image)
            self._database["jobs"].insert_one(self._document(state) | {"_id": first})
            _copy(self._file, first, min(_AT_ONCE, count - start) - 1)

    def _document(self, state: JobState) -> Document:
        now = datetime.fromtimestamp(self._now_ms // 1000, UTC)
        waiting = _a_job("resnet50", len(_IMAGE))
        waiting = replace(waiting, published_at=now, metadata={"album": "x"})
        claimed = replace(waiting.claim(OWNERS[0]), started_at=now)
        entered = {"pending_since_ms": self._now_ms}
        match state:
            case JobState.PENDING:
                return to_document(waiting) | entered | {"waiting_ms": self._now_ms}
            case JobState.PROCESSING:
                return to_document(claimed) | entered
            case _:
                done = replace(claimed.succeed(_RESULT), finished_at=now)
                return to_document(done) | entered | {"finished_ms": self._now_ms}


def _copy(file: Path, first: str, count: int) -> None:
    if count:
        with closing(sqlite3.connect(file, timeout=_TIMEOUT_S)) as connection, connection:
            connection.execute(_COPY_IMAGES, {"count": count, "first": first})
            connection.execute(_COPY_JOBS, {"first": first})


def publish(url: str, count: int) -> None:
    """Queue *count* messages of unknown jobs."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        declare(channel)
        wanted = message_count(channel) + count
        kept = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)
        for _ in range(count):
            body = ClassifyMessage(id=new_job_id(), model="resnet50", fence=0).encode()
            channel.basic_publish(EXCHANGE, ROUTING_KEY, body, kept)
        # RabbitMQ 3.10 may drop the last messages of a channel that is closed before.
        wait_for(lambda: message_count(channel) >= wanted, within_s=_QUEUED_WITHIN_S)
