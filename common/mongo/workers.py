"""The registry of consumers, in the collection ``workers``."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Final

from pydantic import TypeAdapter
from pymongo.database import Database

from common.formats import FORMATS
from common.jobs import OwnerId
from common.mongo.connection import Document, translated_errors
from common.mongo.reading import Reader, present
from common.workers import ServedModel, WorkerRecord

_ID: Final = TypeAdapter(OwnerId)
_MODEL: Final = TypeAdapter(ServedModel)
_DEAD_RETENTION_MS = 86_400_000  # a day, for people who look for dead consumers


class MongoWorkerRegistry:
    """The consumers, by their heartbeats.

    Args:
        database: The database with the collection.
        now_ms: The clock that all processes share, in milliseconds since 1970.
        lease_s: How long a heartbeat proves that a consumer is alive.
    """

    def __init__(
        self, database: Database[Document], *, now_ms: Callable[[], int], lease_s: float
    ) -> None:
        self._workers = database["workers"]
        self._worker_reader = Reader("worker", self._from_document)
        self._model_reader = Reader("model of a worker", _MODEL.validate_python)
        self._now_ms = now_ms
        self._lease_ms = int(lease_s * 1000)

    def ensure_indexes(self) -> None:
        """Make the index for the query for living consumers."""
        with translated_errors():
            self._workers.create_index("heartbeat_ms")

    def beat(self, worker: WorkerRecord) -> None:
        """Record that *worker* is alive now, and what it serves."""
        fields = asdict(worker)
        del fields["worker_id"]
        with translated_errors():
            self._workers.update_one(
                {"_id": worker.worker_id},
                {"$set": fields | {"heartbeat_ms": self._now_ms()}},
                upsert=True,
            )

    def forget(self, worker_id: OwnerId) -> None:
        """Remove a consumer that stopped cleanly."""
        with translated_errors():
            self._workers.delete_one({"_id": worker_id})

    def forget_long_dead(self) -> None:
        """Remove the consumers that died more than a day ago."""
        oldest_ms = self._now_ms() - _DEAD_RETENTION_MS
        with translated_errors():
            self._workers.delete_many({"heartbeat_ms": {"$lt": oldest_ms}})

    def living(self) -> tuple[WorkerRecord, ...]:
        """Return the consumers whose heartbeat is younger than the lease."""
        oldest_ms = self._now_ms() - self._lease_ms
        with translated_errors():
            documents = list(self._workers.find({"heartbeat_ms": {"$gt": oldest_ms}}))
        return tuple(self._worker_reader.readable(documents))

    def _from_document(self, document: Document) -> WorkerRecord:
        """Read a consumer. Its id is enough: it owns jobs, whatever else the record has."""
        host, pid, trouble = (document.get(name) for name in ("host", "pid", "trouble"))
        return WorkerRecord(
            worker_id=_ID.validate_python(document["_id"]),
            host=host if isinstance(host, str) else "",
            pid=pid if isinstance(pid, int) else 0,
            models=tuple(self._model_reader.readable(_stated_models(document))),
            trouble=trouble if isinstance(trouble, str) else "",
            lacks=_stated_lacks(document),
        )


def _stated_lacks(document: Document) -> tuple[str, ...]:
    names = document.get("lacks")  # earlier versions do not report it
    return tuple(name for name in (names if isinstance(names, list) else ()) if name in FORMATS)


def _stated_models(document: Document) -> Iterator[Document]:
    """Return the models of a consumer, each with an id for the log."""
    models = document.get("models")
    for index, model in enumerate(models if isinstance(models, list) else ()):
        fields = model if isinstance(model, Mapping) else {}
        yield present(fields) | {"_id": f"{document['_id']} models.{index}"}
