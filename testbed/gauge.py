"""Samples of the memory and files of each process, and whether they grow."""

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Self, TypeVar

import psutil

from testbed.background import in_background
from testbed.processes import engines_of
from testbed.system import System

_LOOK_EVERY_S: Final = 1.0
_PARTS: Final = 5
_MINUTE_S: Final = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process held at one moment."""

    at_s: float
    resident_bytes: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Line:
    """The samples of one process since its start or the first reading."""

    name: str
    samples: list[Sample] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.samples[-1].at_s - self.samples[0].at_s if self.samples else 0.0

    def after(self, warm_up_s: float) -> "Line":
        """Return the samples without the first seconds."""
        begin_s = self.samples[0].at_s + warm_up_s
        return Line(self.name, [sample for sample in self.samples if sample.at_s >= begin_s])

    def bytes_per_minute(self) -> float:
        """Return how fast the memory grows: in most parts, and from the first to the last.

        A leak grows in every part and raises the low end. An allocator that takes one more
        block rises in one part; one that takes blocks and returns them leaves the low end.
        """
        slopes = [
            statistics.linear_regression(
                [sample.at_s for sample in part], [sample.resident_bytes for sample in part]
            ).slope
            for part in _parts(self.samples)
        ]
        return min(statistics.median(slopes), self._rise_of_the_low_end()) * _MINUTE_S

    def _rise_of_the_low_end(self) -> float:
        """Return how fast the low end of a part rises, in bytes per second."""
        first, *_, last = _parts(self.samples)
        rise = more([sample.resident_bytes for sample in self.samples])
        return rise / (last[0].at_s - first[0].at_s)

    def more_threads(self) -> int:
        return more([sample.threads for sample in self.samples])

    def more_files(self) -> int:
        return more([sample.files for sample in self.samples])


class Gauge:
    """Samples every process of a system, and RabbitMQ's connections."""

    def __init__(self, system: System) -> None:
        self.connections: list[int] = []
        self.channels: list[int] = []
        self._system = system
        self._lines: dict[tuple[str, int], Line] = {}

    @contextmanager
    def watching(self) -> Iterator[Self]:
        """Measure every process of the system every second while the block runs."""
        with in_background(self._run, name="gauge"):
            yield self

    @property
    def lines(self) -> list[Line]:
        """All processes so far; a consumer's next engine counts as another one."""
        return list(self._lines.values())

    def _run(self, ending: threading.Event) -> None:
        while not ending.wait(_LOOK_EVERY_S):
            for name, pid in _processes(self._system):
                with suppress(psutil.NoSuchProcess):  # it has just ended
                    sample = _sample(pid)
                    self._lines.setdefault((name, pid), Line(name)).samples.append(sample)
            totals = self._system.broker.totals()
            self.connections.append(totals["connections"])
            self.channels.append(totals["channels"])


def _processes(system: System) -> Iterator[tuple[str, int]]:
    """Return the name of every running process, ours and the servers'."""
    for server in (*system.roles, system.broker, system.store):
        yield server.program.name, server.pid
    for number, worker in enumerate(system.api.children(), 1):
        yield f"api worker {number}", worker
    for consumer in system.consumers:
        for engine in engines_of(consumer.pid):
            yield f"engine of {consumer.program.name}", engine


def _sample(pid: int) -> Sample:
    process = psutil.Process(pid)
    resident_bytes = process.memory_info().rss
    return Sample(time.monotonic(), resident_bytes, process.num_threads(), process.num_fds())


def _parts(series: Sequence[T]) -> list[Sequence[T]]:
    """Cut *series* into consecutive parts of the same length."""
    size = len(series) // _PARTS
    return [series[number * size : (number + 1) * size] for number in range(_PARTS)]


def more(counts: Sequence[int]) -> int:
    """Return how much higher the low end of the last part is than that of the first.

    What comes and goes, such as a request's socket, leaves the low end where it is. So does a
    moment below it, as between two engines.
    """
    parts = _parts(counts)
    return _low_end(parts[-1]) - _low_end(parts[0])


def _low_end(counts: Sequence[int]) -> int:
    """Return the value that a tenth of the values lie below."""
    return sorted(counts)[len(counts) // 10]
