"""What a run of the benchmark measures, and how thoroughly: the options of its command line."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from common.settings.consumer import Runtime

BenchRuntime = Runtime | Literal["eager"]  # torch as a script would use it
Size = tuple[int, int]  # width and height in pixels

RUNTIMES: Final[tuple[BenchRuntime, ...]] = ("eager", "torch", "onnx", "openvino")
_MODELS: Final = ("resnet18", "squeezenet1_1", "mobilenet_v3_small", "resnet50", "efficientnet_b0")
_SIZES: Final = ((640, 480), (1920, 1080), (4000, 3000))


def size_of(text: str) -> Size:
    """Read WIDTHxHEIGHT."""
    width, _, height = text.partition("x")
    return int(width), int(height)


class Option(NamedTuple):
    """How one field of the plan is given on the command line."""

    help: str
    full: object  # the value where it is not given
    quick: object = None  # the same with --quick; None: no other
    read: Callable[[str], object] = int
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The consumers of one service: how many, their engines each, and the images at once."""

    runtime: BenchRuntime
    consumers: int = 1
    engines: int = 1
    batch: int = 1

    def __str__(self) -> str:
        return f"{self.runtime}, {self.consumers} x {self.engines}, batch {self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that the command line says; *folder* takes what systems write while they run."""

    folder: Path
    quick: bool

    out: Annotated[Path, Option("the folder for results", Path(".darkroom/bench"), read=Path)]
    write: Annotated[Path | None, Option("put the figures into that page", None, read=Path)]
    cores: Annotated[int, Option("for everything; 0: all", 2)]
    rounds: Annotated[int, Option("how often everything takes its turn", 5, 1)]
    runtime: Annotated[
        tuple[BenchRuntime, ...], Option("what computes", (), read=str, choices=RUNTIMES)
    ]
    models: Annotated[
        tuple[str, ...], Option("limit: networks", _MODELS, _MODELS[:1], read=str, choices=_MODELS)
    ]
    sizes: Annotated[
        tuple[Size, ...], Option("limit: WIDTHxHEIGHT", _SIZES, _SIZES[:1], read=size_of)
    ]
    model: Annotated[str, Option("the network that is served", "resnet18", read=str)]
    size: Annotated[Size, Option("WIDTHxHEIGHT of what it is given", _SIZES[0], read=size_of)]
    consumers: Annotated[int, Option("service: how many processes", 1)]
    engines: Annotated[tuple[int, ...], Option("service: of each consumer", ())]
    batch: Annotated[tuple[int, ...], Option("service: images at once", (1,))]
    jobs: Annotated[int, Option("service, growth: in a turn", 300, 64)]
    in_flight: Annotated[int, Option("of them unfinished at once", 32)]
    clients: Annotated[int, Option("that hand them in", 4)]
    runs: Annotated[int, Option("latency: single images", 200, 20)]
    url: Annotated[str, Option("latency: a service that runs already", "", read=str)]
    image: Annotated[Path | None, Option("latency: handed in for noise", None, read=Path)]
    finished: Annotated[
        tuple[int, ...], Option("growth, round: jobs", (100_000, 1_000_000), (1000,))
    ]
    waiting: Annotated[
        tuple[int, ...], Option("growth, round: jobs", (10, 1000, 100_000), (10, 100))
    ]
    processing: Annotated[int, Option("round: jobs", 100)]
    share: Annotated[tuple[int, ...], Option("growth: consumers", (1, 2, 4), (1, 2))]

    @property
    def turn_s(self) -> float:
        """How long a step is repeated in a turn, at least once."""
        return 0.02 if self.quick else 0.1

    @property
    def flood_s(self) -> float:
        """How long images are posted as fast as they are accepted."""
        return 0.5 if self.quick else 3.0

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """The consumers that take turns; the first is the one of the targets."""
        return tuple(self._configurations())

    def _configurations(self) -> Iterator[Configuration]:
        cores = self.cores or os.cpu_count() or 1
        engines = self.engines or tuple(dict.fromkeys((cores, 1)))
        for runtime in self.runtime or ("onnx", "eager"):
            most = 1 if runtime == "eager" else None  # to compare with, in one kind
            for number in engines[:most]:
                for batch in self.batch[:most]:
                    yield Configuration(
                        runtime=runtime, consumers=self.consumers, engines=number, batch=batch
                    )
