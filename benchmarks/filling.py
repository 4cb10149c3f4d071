"""Records in any number: a store that has been in use for long, made in a minute."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pika
from pymongo import WriteConcern
from pymongo.database import Database

from benchmarks.writes import a_job
from common.jobs import Job, JobId, JobState, OwnerId, Prediction, Result, new_job_id
from common.messages import ClassifyMessage
from common.mongo.connection import Document
from common.mongo.documents import to_document
from common.rabbitmq.topology import EXCHANGE, ROUTING_KEY, declare
from embedded.store import EmbeddedStore

OWNERS: Final = tuple(OwnerId(f"here-{number}-0a0b0c0d") for number in range(8))
_AT_ONCE: Final = 20_000
_PATIENCE_S: Final = 60
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


class Filler:
    """Adds jobs with their images to a store that runs.

    Args:
        database: Where to.
        store: The embedded store that it lies in, whose files take copies of a document many
            times as fast as its protocol does; None: by the protocol.
        now_ms: The store's clock.
    """

    def __init__(
        self, database: Database[Document], store: EmbeddedStore | None, *, now_ms: int
    ) -> None:
        self._database = database
        self._store = store
        self._now_ms = now_ms

    def add(self, state: JobState, count: int) -> None:
        """Add *count* jobs in *state*: pending and published, processing or done."""
        portions = [_AT_ONCE] * (count // _AT_ONCE) + [count % _AT_ONCE]
        for portion in filter(None, portions):
            ids = [new_job_id() for _ in range(portion if self._store is None else 1)]
            self._insert(ids, self._document(state))
            if self._store is not None:
                files = self._store.folder / "databases"
                _copy(files / f"{self._database.name}.db", ids[0], portion - 1)

    def _document(self, state: JobState) -> Document:
        entered = {"pending_since_ms": self._now_ms}
        match state:
            case JobState.PENDING:
                return to_document(self._waiting) | entered | {"waiting_ms": self._now_ms}
            case JobState.PROCESSING:
                return to_document(self._claimed) | entered
            case _:
                done = replace(self._claimed.succeed(_RESULT), finished_at=self._now)
                return to_document(done) | entered | {"finished_ms": self._now_ms}

    @property
    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._now_ms // 1000, UTC)

    @property
    def _waiting(self) -> Job:
        job = a_job("resnet50", len(_IMAGE))
        return replace(job, published_at=self._now, metadata={"album": "x"})

    @property
    def _claimed(self) -> Job:
        return replace(self._waiting.claim(OWNERS[0]), started_at=self._now)

    def _insert(self, ids: Sequence[JobId], job: Document) -> None:
        image = {"bytes": _IMAGE, "stored_ms": self._now_ms}
        for name, document in (("images", image), ("jobs", job)):
            collection = self._database[name].with_options(write_concern=WriteConcern(w=1))
            collection.insert_many([document | {"_id": one} for one in ids], ordered=False)


def _copy(file: Path, first: str, count: int) -> None:
    with closing(sqlite3.connect(file, timeout=_PATIENCE_S)) as connection, connection:
        if count:
            connection.execute(_COPY_IMAGES, {"count": count, "first": first})
            connection.execute(_COPY_JOBS, {"first": first})


def publish(url: str, count: int) -> None:
    """Put *count* messages into the queue, of jobs that nobody knows."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        declare(channel)
        kept = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent.value)
        for _ in range(count):
            body = ClassifyMessage(id=new_job_id(), model="resnet50", fence=0).encode()
            channel.basic_publish(EXCHANGE, ROUTING_KEY, body, kept)


def counts(database: Database[Document]) -> Mapping[str, int]:
    """Say how many jobs there are, for whoever doubts it."""
    return {name: database[name].estimated_document_count() for name in ("jobs", "images")}
