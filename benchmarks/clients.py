"""Clients, as a process: ``python -m benchmarks.clients ORDER`` does it and prints a report."""

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.client import Connection, RefusedError
from benchmarks.load import Order, Report, together
from benchmarks.writes import Writer

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
_PATIENCE_S: Final = 120.0
_MEMORY: Final = 0.5  # of what was expected so far
_MISS: Final = 0.15  # of what was expected: how long to wait after asking too early


def main() -> None:
    """Do the order of the command line."""
    order = Order(**json.loads(sys.argv[1]))
    image = Path(order.image).read_bytes()
    works: dict[str, Callable[[Order, bytes], Report]] = {
        "saturate": _saturate,
        "flood": _flood,
        "write": _write,
    }
    cpu_s, started_s = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(order.clients) as pool:
        working = [pool.submit(works[order.kind], order, image) for _ in range(order.clients)]
        total = together([one.result() for one in working])
    total.took_s = time.perf_counter() - started_s
    total.cpu_s = time.process_time() - cpu_s
    print(json.dumps(asdict(total)))  # noqa: T201 (the parent reads it)


def _saturate(order: Order, image: bytes) -> Report:
    """Keep this client's share of the jobs in flight until all are done."""
    return _Share(order, image).work()


class _Share:
    """One client's jobs.

    It asks for the one in the middle, and for those before it when that is done: jobs end in
    about the order in which they came, so most need one question.
    """

    def __init__(self, order: Order, image: bytes) -> None:
        self._connection = Connection(order.url)
        self._model = order.model
        self._image = image
        self._left = order.jobs // order.clients
        self._most = max(1, order.in_flight // order.clients)
        self._in_flight: deque[str] = deque()
        self._since_s = time.perf_counter()
        self._expected_s = 0.0  # between a job in the middle and the next one there
        self._report = Report()

    def work(self) -> Report:
        while self._left or self._in_flight:
            while self._left and len(self._in_flight) < self._most:
                self._post()
            half = self._in_flight[len(self._in_flight) // 2]
            self._wait_for_half(half)
            while (oldest := self._in_flight.popleft()) != half:
                self._wait_for(oldest)
        return self._report

    def _post(self) -> None:
        started_s = time.perf_counter()
        try:
            self._in_flight.append(self._connection.post(self._image, model=self._model))
        except RefusedError:
            self._report.refused += 1
        self._report.posts_ms.append((time.perf_counter() - started_s) * 1000)
        self._left -= 1

    def _wait_for_half(self, job_id: str) -> None:
        """Ask for a job when it should be done, by the time that the last such ones took."""
        time.sleep(max(0.0, self._since_s + self._expected_s - time.perf_counter()))
        pause_s = self._expected_s * _MISS or _FIRST_PAUSE_S
        while not self._is_done(job_id):
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        now_s = time.perf_counter()
        took_s, self._since_s = now_s - self._since_s, now_s
        self._expected_s = _MEMORY * self._expected_s + (1 - _MEMORY) * took_s

    def _wait_for(self, job_id: str) -> None:
        while not self._is_done(job_id):
            time.sleep(_FIRST_PAUSE_S)

    def _is_done(self, job_id: str) -> bool:
        started_s = time.perf_counter()
        job = self._connection.job(job_id)
        self._report.gets_ms.append((time.perf_counter() - started_s) * 1000)
        if job["state"] not in ("done", "failed", "cancelled"):
            if started_s - self._since_s > _PATIENCE_S:
                raise TimeoutError(f"job {job_id} is not done after {_PATIENCE_S} s")
            return False
        self._report.failed += job["state"] != "done"
        self._report.finished_s.append(datetime.fromisoformat(job["finished_at"]).timestamp())
        return True


def _flood(order: Order, image: bytes) -> Report:
    """Post, and post again, as soon as there is an answer."""
    connection = Connection(order.url)
    return _repeat(order.for_s, lambda: connection.post(image, model=order.model))


def _write(order: Order, image: bytes) -> Report:
    """Write what the API writes for a submission, as often as the store takes it."""
    writer = _writer(order)
    return _repeat(order.for_s, lambda: writer.submit(image))


_one_writer: list[Writer] = []
_making = threading.Lock()


def _writer(order: Order) -> Writer:
    """Return the client of this process: all threads share it, as in the API."""
    with _making:
        if not _one_writer:
            _one_writer.append(Writer(order.url, order.database, model=order.model))
        return _one_writer[0]


def _repeat(for_s: float, step: Callable[[], object]) -> Report:
    report = Report()
    deadline_s = time.perf_counter() + for_s
    while (started_s := time.perf_counter()) < deadline_s:
        try:
            step()
        except RefusedError:
            report.refused += 1
            continue
        report.posts_ms.append((time.perf_counter() - started_s) * 1000)
    return report


if __name__ == "__main__":
    main()
