"""Times single operations of clients, consumers and the courier."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Final, TypeVar

from benchmarks.client import Connection
from benchmarks.records import OWNERS, Filler, Lap, StoreTime, Writer, lap, publish
from benchmarks.round import ROUND, CourierRound
from benchmarks.system import DATABASE, System
from common.jobs import JobId, JobState
from common.mongo.connection import ServerClock, connect, open_database
from standalone.settings import ROOT

OPERATIONS: Final = ("POST", "poll", "claim", ROUND)
MODEL: Final = "digits"
IMAGE: Final = ROOT / "models" / MODEL / "samples" / "7.png"
_AT_ONCE: Final = 12  # of each in a turn

T = TypeVar("T")
Turn = Mapping[str, Lap]  # by operation: what one of it took


class Probe:
    """Does on a system what clients, consumers and the courier do, and times it."""

    def __init__(self, system: System, stack: ExitStack, store_time: StoreTime) -> None:
        client = stack.enter_context(connect(system.store.url, timeout_s=600))
        self._database = open_database(client, DATABASE)
        self._writer = Writer(system.store.url, DATABASE, model=MODEL)
        self._jobs = self._writer.jobs
        self._connection = Connection(system.url)
        self._courier = CourierRound(self._database, store_time)
        self._store_time = store_time
        self._image = IMAGE.read_bytes()
        self._system = system

    def grow(self, *, finished: int, waiting: int) -> None:
        """Add that many records, with messages for the waiting ones."""
        now_ms = ServerClock(self._database).now_ms()
        filler = Filler(self._database, self._system.store, now_ms=now_ms)
        filler.add(JobState.DONE, finished)
        filler.add(JobState.PENDING, waiting)
        publish(self._system.amqp_url, waiting)

    def turn(self) -> Turn:
        """Submit, poll and claim some jobs, do one courier round, and remove the jobs."""
        ids: list[JobId] = []
        post = self._laps(range(_AT_ONCE), lambda _: ids.append(self._post()))
        poll = self._laps(ids, self._connection.job)
        claim = self._laps(ids, self._claim)
        self._delete(ids)
        written: list[JobId] = []
        write = self._laps(range(_AT_ONCE), lambda _: written.append(self._submit()))
        read = self._laps(written, self._jobs.get)
        self._delete(written)
        return {
            "POST": Lap(post.total_ms, write.store_ms),
            "poll": Lap(poll.total_ms, read.store_ms),
            "claim": claim,
            ROUND: self._courier.timed()[ROUND],
        }

    def past_the_service(self) -> Turn:
        """Claim and do one courier round while the service is under load."""
        written = [self._submit() for _ in range(_AT_ONCE)]
        claim = self._laps(written, self._claim)
        self._delete(written)
        return {"claim": claim, ROUND: self._courier.timed()[ROUND]}

    def _post(self) -> JobId:
        return JobId(self._connection.post(self._image, model=MODEL, content_type="image/png"))

    def _submit(self) -> JobId:
        return self._writer.submit(self._image)

    def _claim(self, job_id: JobId) -> None:
        if self._jobs.claim(job_id, fence=0, owner=OWNERS[0]) is None:
            raise RuntimeError(f"job {job_id} was claimed by somebody else")

    def _delete(self, job_ids: Iterable[JobId]) -> None:
        for job in filter(None, map(self._jobs.get, job_ids)):
            self._jobs.delete(job)

    def _laps(self, subjects: Iterable[T], step: Callable[[T], object]) -> Lap:
        """Return the median times of *step* and of the store's part of it."""
        laps = []
        for one in subjects:
            with lap(self._store_time) as timed:
                step(one)
            laps.append(timed)
        return Lap(median(one.total_ms for one in laps), median(one.store_ms for one in laps))
