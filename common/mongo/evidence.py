"""What the couriers find out about RabbitMQ, in the collection ``evidence``."""

from collections.abc import Callable
from typing import Final

from pymongo.database import Database

from common.mongo.connection import Document, translated_errors

_BROKER: Final = "broker"
_LONGEST_CHARACTERS: Final = 2000


class MongoBrokerEvidence:
    """One record, which every courier overwrites, since all check the same RabbitMQ.

    Args:
        database: The database with the collection.
        now_ms: The clock that all processes share, in milliseconds since 1970.
        lease_s: How long it is valid.
    """

    def __init__(
        self, database: Database[Document], *, now_ms: Callable[[], int], lease_s: float
    ) -> None:
        self._evidence = database["evidence"]
        self._now_ms = now_ms
        self._lease_ms = int(lease_s * 1000)

    def note(self, trouble: str) -> None:
        """Record what is wrong with RabbitMQ now; empty if nothing is."""
        fields = {"trouble": trouble[:_LONGEST_CHARACTERS], "noted_ms": self._now_ms()}
        with translated_errors():
            self._evidence.update_one({"_id": _BROKER}, {"$set": fields}, upsert=True)

    def latest(self) -> str | None:
        """Return what was recorded within the last lease; None if nothing was."""
        with translated_errors():
            document = self._evidence.find_one({"_id": _BROKER})
        match document:
            case {"trouble": str(trouble), "noted_ms": int(noted_ms)}:
                return trouble if noted_ms > self._now_ms() - self._lease_ms else None
        return None
