"""What a run of the benchmark measures, and how thoroughly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.settings.consumer import Runtime

BenchRuntime = Runtime | Literal["eager"]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The consumers of one service that is measured.

    Args:
        runtime: ``eager`` is torch as a script would use it; the others are settings.
        consumers: How many processes.
        engines: How many each of them has.
        batch: How many images an engine may take at once.
    """

    runtime: BenchRuntime
    consumers: int = 1
    engines: int = 1
    batch: int = 1

    def __str__(self) -> str:
        return f"{self.runtime}, {self.consumers} x {self.engines}, batch {self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that the command line says.

    Args:
        folder: Takes what the systems write while they run.
        cores: How many cores everything together may use; 0: all there are.
        rounds: How often everything takes its turn.
        models: The networks whose limit is measured.
        sizes: The images for that, width and height in pixels.
        runtimes: What computes them.
        turn_s: How long a step is repeated in a turn, at least once.
        model: The network that the service serves.
        size: The images that it is given.
        configurations: The consumers that take turns; the first is the one of the targets.
        jobs: How many a saturated service is given in a turn.
        in_flight: How many of them are unfinished at any time.
        clients: How many connections hand them in.
        memory_jobs: After how many jobs memory is looked at.
        runs: How many single images the latency is measured with.
        url: A service that runs already, for the latency; empty: one of our own.
        image: A file to hand in there instead of noise.
        flood_s: How long images are posted as fast as they are accepted.
        finished: Numbers of finished records, ascending.
        waiting: Numbers of waiting jobs, ascending.
        processing: Jobs that are being worked on, for a round of the courier.
        consumers: Numbers of consumers that share the work.
        starts: How often each role is started.
    """

    folder: Path
    cores: int
    rounds: int
    models: tuple[str, ...]
    sizes: tuple[Size, ...]
    runtimes: tuple[BenchRuntime, ...]
    turn_s: float
    model: str
    size: Size
    configurations: tuple[Configuration, ...]
    jobs: int
    in_flight: int
    clients: int
    memory_jobs: int
    runs: int
    url: str
    image: Path | None
    flood_s: float
    finished: tuple[int, ...]
    waiting: tuple[int, ...]
    processing: int
    consumers: tuple[int, ...]
    starts: int
