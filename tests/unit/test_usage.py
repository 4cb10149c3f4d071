"""Usage of the store, read from MongoDB's answers."""

from typing import Any

from pymongo.errors import OperationFailure

from common.mongo.usage import MongoUsage
from common.ports.usage import StoreUsage


class AnsweringDatabase:
    """Answers ``dbStats`` and no pragma, like MongoDB."""

    def __init__(self, **stats: Any) -> None:
        self.stats = stats

    def command(self, name: str, **_: Any) -> dict[str, Any]:
        if name != "dbStats":
            raise OperationFailure(f"no such command: '{name}'", 59)
        return self.stats


def measured(**stats: Any) -> StoreUsage:
    database: Any = AnsweringDatabase(**stats)
    return MongoUsage(database).measure()


def test_documents_and_indexes_count_and_the_disk_is_told() -> None:
    usage = measured(
        dataSize=1000.0,
        indexSize=24.0,
        storageSize=5000.0,
        totalFreeStorageSize=3000.0,
        fsTotalSize=10_000.0,
        fsUsedSize=9000.0,
    )

    assert usage == StoreUsage(used_bytes=1024, reusable_bytes=3000, free_bytes=1000)


def test_an_older_server_tells_less() -> None:
    assert measured(dataSize=1000, indexSize=24) == StoreUsage(used_bytes=1024)
