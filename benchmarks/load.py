"""The load generator: clients in their own processes, so that their cost is counted apart."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.client import Connection, RefusedError
from benchmarks.records import Writer

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
_LIMIT_S: Final = 3600.0  # of a process of clients
_PATIENCE_S: Final = 120.0
_MEMORY: Final = 0.5  # of what was expected so far
_MISS: Final = 0.15  # of what was expected: how long to wait after asking too early


@dataclass(slots=True, kw_only=True)
class Report:
    """What clients saw."""

    posts_ms: list[float] = field(default_factory=list)
    gets_ms: list[float] = field(default_factory=list)
    finished_s: list[float] = field(default_factory=list)  # by the service's clock
    refused: int = 0  # submissions
    failed: int = 0  # jobs
    took_s: float = 0.0  # from the first request to the last answer
    cpu_s: float = 0.0  # what the clients computed

    @property
    def images_per_second(self) -> float:
        """From the first job that was finished to the last."""
        took_s = max(self.finished_s) - min(self.finished_s)
        return (len(self.finished_s) - 1) / took_s

    @property
    def posts_a_second(self) -> float:
        return len(self.posts_ms) / self.took_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The task of one process of clients."""

    work: "Work"  # of each client: saturate, flood or write
    url: str  # of the service, or of the store
    image: Path
    model: str
    clients: int
    database: str = ""  # of the store
    jobs: int = 0  # for all clients together, to saturate with
    in_flight: int = 0  # of them at once
    for_s: float = 0.0  # how long to flood or to write


Work = Callable[[Order, bytes], Report]


@contextmanager
def at_work(*orders: Order) -> Iterator[Callable[[], Report]]:
    """Start a process for each order; yield a function that waits and returns what they saw."""
    # Ctrl-C reaches all processes of a terminal; these inherit that they pass it over.
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)
    pool = get_context("spawn").Pool(len(orders))
    signal.signal(signal.SIGINT, interrupted)
    with pool:
        working = pool.map_async(_carry_out, orders, chunksize=1)
        yield lambda: _together(working.get(_LIMIT_S))


def do(*orders: Order) -> Report:
    """Carry the orders out at the same time, each in a process."""
    with at_work(*orders) as reported:
        return reported()


def _carry_out(order: Order) -> Report:
    """Let all clients of this process work at once, each on its own connection."""
    image = order.image.read_bytes()
    cpu_s, started_s = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(order.clients) as pool:
        working = [pool.submit(order.work, order, image) for _ in range(order.clients)]
        total = _together(one.result() for one in working)
    total.took_s = time.perf_counter() - started_s
    total.cpu_s = time.process_time() - cpu_s
    return total


def _together(reports: Iterable[Report]) -> Report:
    """Combine what concurrent clients saw."""
    total = Report()
    for one in reports:
        total.posts_ms += one.posts_ms
        total.gets_ms += one.gets_ms
        total.finished_s += one.finished_s
        total.refused += one.refused
        total.failed += one.failed
        total.took_s = max(total.took_s, one.took_s)
        total.cpu_s += one.cpu_s
    return total


def saturate(order: Order, image: bytes) -> Report:
    """Keep this client's share of the jobs in flight until all are done.

    It asks for the job in the middle, and for those before it when that is done: jobs end in
    about the order in which they came, so most need one question.
    """
    report, connection = Report(), Connection(order.url)
    pace = _Pace(report, connection)
    in_flight: deque[str] = deque()
    left, most = order.jobs // order.clients, max(1, order.in_flight // order.clients)
    while left or in_flight:
        while left and len(in_flight) < most:
            left -= 1
            with _timed(report.posts_ms):
                try:
                    in_flight.append(connection.post(image, model=order.model))
                except RefusedError:
                    report.refused += 1
        half = in_flight[len(in_flight) // 2]
        pace.wait_for_half(half)
        while (oldest := in_flight.popleft()) != half:
            while not pace.is_done(oldest):
                time.sleep(_FIRST_PAUSE_S)
    return report


class _Pace:
    """Polls a job when it should be done, judged by the last jobs."""

    def __init__(self, report: Report, connection: Connection) -> None:
        self._report = report
        self._connection = connection
        self._since_s = time.perf_counter()
        self._expected_s = 0.0  # between a job in the middle and the next one there

    def wait_for_half(self, job_id: str) -> None:
        time.sleep(max(0.0, self._since_s + self._expected_s - time.perf_counter()))
        pause_s = self._expected_s * _MISS or _FIRST_PAUSE_S
        while not self.is_done(job_id):
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        now_s = time.perf_counter()
        took_s, self._since_s = now_s - self._since_s, now_s
        self._expected_s = _MEMORY * self._expected_s + (1 - _MEMORY) * took_s

    def is_done(self, job_id: str) -> bool:
        with _timed(self._report.gets_ms):
            job = self._connection.job(job_id)
        if job["state"] not in ("done", "failed", "cancelled"):
            if time.perf_counter() - self._since_s > _PATIENCE_S:
                raise TimeoutError(f"job {job_id} is not done after {_PATIENCE_S} s")
            return False
        self._report.failed += job["state"] != "done"
        self._report.finished_s.append(datetime.fromisoformat(job["finished_at"]).timestamp())
        return True


@contextmanager
def _timed(times_ms: list[float]) -> Iterator[None]:
    started_s = time.perf_counter()
    yield
    times_ms.append((time.perf_counter() - started_s) * 1000)


def flood(order: Order, image: bytes) -> Report:
    """Post again as soon as there is an answer."""
    connection = Connection(order.url)
    return _repeat(order.for_s, lambda: connection.post(image, model=order.model))


def write(order: Order, image: bytes) -> Report:
    """Write what the API writes for a submission, as fast as the store can."""
    with _making:
        # One client for all threads, as in the API; a process has one order.
        if not _writers:
            _writers.append(Writer(order.url, order.database, model=order.model))
    return _repeat(order.for_s, lambda: _writers[0].submit(image))


_writers: list[Writer] = []
_making: Final = threading.Lock()


def _repeat(for_s: float, step: Callable[[], object]) -> Report:
    report, deadline_s = Report(), time.perf_counter() + for_s
    while time.perf_counter() < deadline_s:
        try:
            with _timed(report.posts_ms):
                step()
        except RefusedError:
            report.refused += 1
    return report
