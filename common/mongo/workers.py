"""The consumers that live, in the collection ``workers``."""

from collections.abc import Callable
from dataclasses import asdict

from pymongo.database import Database

from common.jobs import OwnerId
from common.mongo.connection import Document, translated_errors
from common.workers import ModelState, ServedModel, Worker

_DEAD_RETENTION_MS = 86_400_000  # a day, for people who look what died


class MongoWorkerRegistry:
    """Who consumes from the queue, by heartbeat.

    Args:
        database: Where the workers are recorded.
        now_ms: The clock that all processes share, in milliseconds since 1970.
        lease_s: How long a heartbeat proves life.
    """

    def __init__(
        self, database: Database[Document], *, now_ms: Callable[[], int], lease_s: float
    ) -> None:
        self._workers = database["workers"]
        self._now_ms = now_ms
        self._lease_ms = int(lease_s * 1000)

    def ensure_indexes(self) -> None:
        """Make the index that the query for the living needs."""
        with translated_errors():
            self._workers.create_index("heartbeat_ms")

    def beat(self, worker: Worker) -> None:
        """Record that *worker* lives now, and what it serves."""
        fields = asdict(worker)
        del fields["worker_id"]
        with translated_errors():
            self._workers.update_one(
                {"_id": worker.worker_id},
                {"$set": fields | {"heartbeat_ms": self._now_ms()}},
                upsert=True,
            )

    def forget(self, worker_id: OwnerId) -> None:
        """Remove a worker that stopped cleanly."""
        with translated_errors():
            self._workers.delete_one({"_id": worker_id})

    def forget_long_dead(self) -> None:
        """Remove the workers that died more than a day ago."""
        oldest_ms = self._now_ms() - _DEAD_RETENTION_MS
        with translated_errors():
            self._workers.delete_many({"heartbeat_ms": {"$lt": oldest_ms}})

    def living(self) -> tuple[Worker, ...]:
        """Return the workers whose heartbeat is younger than the lease."""
        oldest_ms = self._now_ms() - self._lease_ms
        with translated_errors():
            documents = list(self._workers.find({"heartbeat_ms": {"$gt": oldest_ms}}))
        return tuple(_from_document(document) for document in documents)


def _from_document(document: Document) -> Worker:
    return Worker(
        worker_id=OwnerId(document["_id"]),
        host=document["host"],
        pid=document["pid"],
        models=tuple(
            ServedModel(**{**model, "state": ModelState(model["state"])})
            for model in document["models"]
        ),
    )
