"""The size of the database, from the server's own counters."""

from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from common.mongo.connection import Document, translated_errors
from common.ports.usage import StoreUsage

_COMMAND_NOT_FOUND = 59


class MongoUsage:
    """Measures one database: one round trip to MongoDB, three to nx-27017."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database

    def measure(self) -> StoreUsage:
        """Return the space that the database takes, and the free space if its server reports it."""
        with translated_errors():
            try:
                # A pragma of SQLite, which nx-27017 passes on. Its own dbStats reads every page.
                unused_pages = self._pragma("freelist_count")
            except OperationFailure as exc:
                if exc.code != _COMMAND_NOT_FOUND:
                    raise
                return _usage(self._database.command("dbStats", freeStorage=1))
            page_bytes = self._pragma("page_size")
            used_pages = self._pragma("page_count") - unused_pages
        return StoreUsage(
            used_bytes=used_pages * page_bytes, reusable_bytes=unused_pages * page_bytes
        )

    def _pragma(self, name: str) -> int:
        [row] = self._database.command(name)["result"]
        return int(row[name])


def _usage(stats: dict[str, Any]) -> StoreUsage:
    """Read MongoDB's own count.

    It counts documents, not files, which follow up to a minute later at a checkpoint.

    Source: https://www.mongodb.com/docs/manual/reference/command/dbStats/
    """
    total, used = stats.get("fsTotalSize"), stats.get("fsUsedSize")
    return StoreUsage(
        used_bytes=int(stats["dataSize"] + stats["indexSize"]),
        reusable_bytes=int(stats.get("totalFreeStorageSize", 0)),
        free_bytes=None if total is None or used is None else int(total - used),
    )
