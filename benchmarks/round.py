"""What a round of the courier costs among many records.

A store of its own is filled with finished jobs and some that wait or are being worked on, and
every duty is timed in rounds in which nothing is due. RabbitMQ's part, a passive declare and a
get, is not in it.
"""

from collections.abc import Callable, Mapping
from statistics import median
from typing import Final

from pymongo.database import Database

from benchmarks.figures import percentile
from benchmarks.plan import Plan
from benchmarks.records import OWNERS, Filler, Lap, StoreTime, lap
from benchmarks.result import PartResult, Table
from benchmarks.system import DATABASE
from common.jobs import JobState
from common.messages import ClassifyMessage
from common.mongo.connection import Document, ServerClock, connect, open_database
from common.mongo.images import MongoImages
from common.mongo.jobs import MongoJobStore
from common.mongo.workers import MongoWorkerRegistry
from common.workers import WorkerRecord
from courier.duties.lost_messages import Evidence, LostMessages
from courier.duties.orphans import OrphanedImages
from courier.duties.relay import relay
from courier.duties.rescue import Rescuer
from testbed.parts import make_store
from testbed.server import Server, kept_running

ROUND: Final = "round"
_LEASE_S: Final = 15.0
_FOREVER_S: Final = 10.0**6
_AT_MOST: Final = 500


class NoPublisher:
    """Nothing is due, so nothing is published."""

    def publish(self, message: ClassifyMessage) -> None:
        raise AssertionError(f"{message} was not due")


class CourierRound:
    """The courier's duties at a store, done by this process; all owners of jobs are alive."""

    def __init__(self, database: Database[Document], store_time: StoreTime) -> None:
        now_ms = ServerClock(database).now_ms
        jobs = MongoJobStore(database, now_ms=now_ms, publish_after_s=5)
        images = MongoImages(database)
        # Indexes that the API or a courier makes at its start.
        jobs.ensure_indexes()
        images.ensure_indexes()
        workers = MongoWorkerRegistry(database, now_ms=now_ms, lease_s=_FOREVER_S)
        for owner in OWNERS:
            workers.beat(WorkerRecord(worker_id=owner, host="here", pid=1, models=()))
        rescuer = Rescuer(
            outbox=jobs, registry=workers, now_ms=now_ms, max_attempts=3, overdue_s=3600,
            confirm_s=0,
        )  # fmt: skip
        lost = LostMessages(
            outbox=jobs,
            evidence=Evidence(),
            can_publish=lambda: True,
            lease_s=_LEASE_S,
            at_most=_AT_MOST,
            # It looks from the first round on, as it does after its first lease.
            clock_s=iter(range(0, 10**9, int(_LEASE_S))).__next__,
        )
        self._store_time = store_time
        self._duties: Mapping[str, Callable[[], object]] = {
            "rescue": rescuer.rescue,
            "lost": lost.publish_again,
            "relay": lambda: relay(jobs, NoPublisher(), at_most=_AT_MOST),
            "expire": lambda: jobs.expire(retention_s=86_400),
            "orphans": OrphanedImages(images=images, now_ms=now_ms).delete,
        }

    def timed(self) -> dict[str, Lap]:
        """Do every duty once; return how long each took, and the round."""
        laps = {}
        for name, duty in self._duties.items():
            with lap(self._store_time) as laps[name]:
                done = duty()
            if done:
                raise AssertionError(f"{name} had something to do")
        total_ms = sum(one.total_ms for one in laps.values())
        return laps | {ROUND: Lap(total_ms, sum(one.store_ms for one in laps.values()))}


def run(plan: Plan) -> PartResult:
    """Time rounds among the largest numbers of records that the plan has."""
    records = {
        JobState.DONE: max(plan.finished),
        JobState.PENDING: max(plan.waiting),
        JobState.PROCESSING: plan.processing,
    }
    store = make_store(plan.folder / "round")
    store_time = StoreTime()
    with kept_running(Server(store.program())), connect(store.url, timeout_s=600) as client:
        database = open_database(client, DATABASE)
        filler = Filler(database, store, now_ms=ServerClock(database).now_ms())
        for state, count in records.items():
            filler.add(state, count)
        courier = CourierRound(database, store_time)
        courier.timed()
        rounds = [courier.timed() for _ in range(plan.rounds)]
    rows = []
    for name in rounds[0]:
        ms = [one[name].total_ms for one in rounds]
        stores_ms = [one[name].store_ms for one in rounds]
        rows.append((name, median(ms), percentile(ms, 95), max(ms), median(stores_ms)))
    said = ", ".join(f"{count:,} {state}" for state, count in records.items())
    table = Table(
        caption=f"A round of the courier, ms: {said}",
        head=("duty", "median", "p95", "most", "of which the store"),
        rows=rows,
    )
    return PartResult(part="round", tables=(table,))
