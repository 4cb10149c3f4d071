"""Records in any number: a store that has been in use for long, made in a minute."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import pika
from pymongo import WriteConcern
from pymongo.database import Database

from benchmarks.writes import a_job
from common.jobs import Job, JobState, OwnerId, Prediction, Result, new_job_id
from common.messages import ClassifyMessage
from common.mongo.connection import Document
from common.mongo.documents import to_document
from common.rabbitmq.topology import EXCHANGE, ROUTING_KEY, declare
from embedded.store import EmbeddedStore

OWNERS: Final = tuple(OwnerId(f"here-{number}-0a0b0c0d") for number in range(8))
_AT_ONCE: Final = 2000
_COPIED_AT_ONCE: Final = 50_000
_IMAGE: Final = b"a small image" * 20
_RESULT: Final = Result(
    predictions=tuple(Prediction(f"a label of some length {n}", 0.5 / (n + 1)) for n in range(5)),
    model="resnet50",
    model_version="sha256:42dc0cb33814b927",
    queue_ms=12.25,
    inference_ms=31.5,
)

# The store keeps a document as JSON, with its id in it and beside it.
_COPY: Final = """
WITH RECURSIVE
  numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count),
  ids(id) AS MATERIALIZED (SELECT lower(hex(randomblob(16))) FROM numbers)
INSERT INTO {table} (_id, data)
SELECT ids.id, replace(first.data, first._id, ids.id)
FROM ids, (SELECT _id, data FROM {table} WHERE _id = :first) AS first
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
        if count:
            first = new_job_id()
            image = {"bytes": _IMAGE, "stored_ms": self._now_ms}
            self._add("images", image | {"_id": first}, count)
            self._add("jobs", self._document(state) | {"_id": first}, count)

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

    def _add(self, name: str, document: Document, count: int) -> None:
        collection = self._database[name].with_options(write_concern=WriteConcern(w=1))
        collection.insert_one(document)
        if self._store is not None:
            _copy(self._store.folder / "databases" / f"{self._database.name}.db", name,
                  document["_id"], count - 1)  # fmt: skip
            return
        copies = (document | {"_id": new_job_id()} for _ in range(count - 1))
        while some := list(islice(copies, _AT_ONCE)):
            collection.insert_many(some, ordered=False)


def _copy(file: Path, table: str, first: str, count: int) -> None:
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        for size in _portions(count):
            with connection:
                # The name is one of ours, see above.
                connection.execute(_COPY.format(table=table), {"count": size, "first": first})


def _portions(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, _COPIED_AT_ONCE)
        count -= _COPIED_AT_ONCE


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
