"""The load: clients in processes of their own, so that what they cost is counted apart."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a process of clients shall do.

    Args:
        kind: ``saturate`` keeps jobs in flight until all are done; ``flood`` only posts;
            ``write`` writes to the store what the API writes, past the service.
        url: Of the service, or of the store.
        database: Of the store.
        image: The file that is handed in.
        model: What it is handed in for.
        clients: How many connections.
        jobs: For all clients together, to saturate with.
        in_flight: How many of them at once.
        for_s: How long to flood or to write.
    """

    kind: Literal["saturate", "flood", "write"]
    url: str
    image: str
    model: str
    clients: int
    database: str = ""
    jobs: int = 0
    in_flight: int = 0
    for_s: float = 0.0


@dataclass(slots=True, kw_only=True)
class Report:
    """What clients saw.

    Args:
        posts_ms: How long each submission took.
        gets_ms: How long each question took.
        finished_s: When jobs were finished, by the service's clock.
        refused: How many submissions were not accepted.
        failed: How many jobs did not end well.
        took_s: From the first request to the last answer.
        cpu_s: What the clients computed.
    """

    posts_ms: list[float] = field(default_factory=list)
    gets_ms: list[float] = field(default_factory=list)
    finished_s: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    took_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def images_a_second(self) -> float:
        """From the first job that was finished to the last."""
        took_s = max(self.finished_s) - min(self.finished_s)
        return (len(self.finished_s) - 1) / took_s

    @property
    def posts_a_second(self) -> float:
        return len(self.posts_ms) / self.took_s

    def add(self, other: "Report") -> None:
        """Take over what another client saw."""
        self.posts_ms += other.posts_ms
        self.gets_ms += other.gets_ms
        self.finished_s += other.finished_s
        self.refused += other.refused
        self.failed += other.failed


def together(reports: Iterable[Report]) -> Report:
    """Combine processes that worked at the same time."""
    total = Report()
    for one in reports:
        total.add(one)
        total.took_s = max(total.took_s, one.took_s)
        total.cpu_s += one.cpu_s
    return total


@contextmanager
def at_work(*orders: Order) -> Iterator[Callable[[], Report]]:
    """Start a process for each order; yield what waits for them and tells what they saw."""
    processes = [_start(order) for order in orders]
    try:
        yield lambda: together([_report(process) for process in processes])
    finally:
        for process in processes:
            process.kill()
            process.wait()


def do(*orders: Order) -> Report:
    """Have the orders done, at the same time, each by a process."""
    with at_work(*orders) as report:
        return report()


def _start(order: Order) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.clients", json.dumps(asdict(order))]
    return subprocess.Popen(  # noqa: S603 (our own command)
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def _report(process: "subprocess.Popen[str]") -> Report:
    said, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the clients ended with status {process.returncode}")
    return Report(**json.loads(said))
