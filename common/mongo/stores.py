"""The store of one process, opened from its settings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from common.mongo.connection import ServerClock, connect, open_database
from common.mongo.evidence import MongoBrokerEvidence
from common.mongo.images import MongoImages
from common.mongo.jobs import MongoJobStore
from common.mongo.usage import MongoUsage
from common.mongo.workers import MongoWorkerRegistry
from common.settings.base import RoleSettings


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of one database, with one client and one clock."""

    jobs: MongoJobStore
    images: MongoImages
    workers: MongoWorkerRegistry
    evidence: MongoBrokerEvidence
    usage: MongoUsage
    now_ms: Callable[[], int]

    def ensure_indexes(self) -> None:
        """Make the indexes that the queries need."""
        self.jobs.ensure_indexes()
        self.images.ensure_indexes()
        self.workers.ensure_indexes()


@contextmanager
def opened_stores(settings: RoleSettings) -> Iterator[Stores]:
    """Open the stores for the block. They connect at first use."""
    url = settings.mongo_url.get_secret_value()
    with connect(url, timeout_s=settings.store_timeout_s) as client:
        database = open_database(client, settings.mongo_database)
        now_ms = ServerClock(database).now_ms
        yield Stores(
            MongoJobStore(database, now_ms=now_ms, publish_after_s=settings.publish_after_s),
            MongoImages(database),
            MongoWorkerRegistry(database, now_ms=now_ms, lease_s=settings.lease_s),
            MongoBrokerEvidence(database, now_ms=now_ms, lease_s=settings.lease_s),
            MongoUsage(database),
            now_ms,
        )
