"""Every store: the fake, mongomock, nx-27017 and, if named, a real MongoDB."""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import mongomock
import pytest

from common.jobs import JobId
from common.mongo.connection import connect, open_database
from common.mongo.evidence import MongoBrokerEvidence
from common.mongo.images import MongoImages
from common.mongo.jobs import MongoJobStore
from common.mongo.workers import MongoWorkerRegistry
from common.ports.evidence import BrokerEvidence
from common.ports.images import Images
from common.ports.jobs import JobStore
from common.ports.outbox import Outbox
from common.ports.workers import WorkerRegistry
from tests.fakes import InMemoryEvidence, InMemoryRegistry, InMemoryStore

PUBLISH_AFTER_S = 5.0
LEASE_S = 15.0


class Store(JobStore, Outbox, Protocol):
    """All ports of a store."""


@dataclass(frozen=True)
class StoreUnderTest:
    """One store, its images and its workers, and a way to let time pass for all."""

    jobs: Store
    images: Images
    registry: WorkerRegistry
    evidence: BrokerEvidence
    store_image: Callable[[JobId], object]
    now_ms: Callable[[], int]
    pass_time: Callable[[float], None]
    database: Any = None  # past the store, if it is a MongoDB


def _let_bulk_writes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep from mongomock 4.3 what pymongo hands over since 4.10: no sort."""
    builder = mongomock.collection.BulkOperationBuilder  # type: ignore[attr-defined]  # its stubs lack it
    add_update = builder.add_update

    def add_without_sort(self: Any, *args: Any, sort: None = None, **options: Any) -> Any:
        assert sort is None
        return add_update(self, *args, **options)

    monkeypatch.setattr(builder, "add_update", add_without_sort)


class MovableClock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self._now_ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self._now_ms

    def pass_time(self, seconds: float) -> None:
        self._now_ms += int(seconds * 1000)


_REAL = ["real"] if os.environ.get("DARKROOM_TEST_MONGO_URL") else []
SERVERS = ["nx-27017", *_REAL]
_MONGO = ["mongomock", *SERVERS]


@pytest.fixture(params=["fake", *_MONGO])
def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreUnderTest]:
    """Each kind of store in turn, empty."""
    yield from _opened(request, monkeypatch)


@pytest.fixture(params=_MONGO)
def mongo(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreUnderTest]:
    """Each kind of MongoDB in turn, empty, for tests that write documents of their own."""
    yield from _opened(request, monkeypatch)


def _opened(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreUnderTest]:
    match request.param:
        case "fake":
            yield _fake()
        case "mongomock":
            _let_bulk_writes_through(monkeypatch)
            yield _on_database(mongomock.MongoClient(tz_aware=True)["darkroom"])
        case "nx-27017":
            yield from _on_server(request.getfixturevalue("standalone_mongo_url"))
        case "real":
            yield from _on_server(os.environ["DARKROOM_TEST_MONGO_URL"])


def _fake() -> StoreUnderTest:
    jobs = InMemoryStore(publish_after_s=PUBLISH_AFTER_S)
    registry = InMemoryRegistry(lease_s=LEASE_S)
    evidence = InMemoryEvidence(lease_s=LEASE_S)

    def pass_time(seconds: float) -> None:
        jobs.now_s += seconds
        registry.now_s += seconds
        evidence.now_s += seconds

    return StoreUnderTest(
        jobs=jobs,
        images=jobs,
        registry=registry,
        evidence=evidence,
        store_image=lambda job_id: jobs.store_image(job_id, b"pixels"),
        now_ms=lambda: int(jobs.now_s * 1000),
        pass_time=pass_time,
    )


def _on_server(url: str) -> Iterator[StoreUnderTest]:
    name = f"contract-{uuid.uuid4().hex[:12]}"
    with connect(url, timeout_s=60) as client:
        yield _on_database(open_database(client, name))
        client.drop_database(name)


def _on_database(database: Any) -> StoreUnderTest:
    clock = MovableClock()
    jobs = MongoJobStore(database, now_ms=clock.now_ms, publish_after_s=PUBLISH_AFTER_S)
    jobs.ensure_indexes()
    images = MongoImages(database)
    images.ensure_indexes()
    registry = MongoWorkerRegistry(database, now_ms=clock.now_ms, lease_s=LEASE_S)
    registry.ensure_indexes()
    evidence = MongoBrokerEvidence(database, now_ms=clock.now_ms, lease_s=LEASE_S)

    def store_image(job_id: JobId) -> None:
        image = {"_id": job_id, "bytes": b"pixels", "stored_ms": clock.now_ms()}
        database["images"].insert_one(image)

    return StoreUnderTest(
        jobs=jobs,
        images=images,
        registry=registry,
        evidence=evidence,
        store_image=store_image,
        now_ms=clock.now_ms,
        pass_time=clock.pass_time,
        database=database,
    )
