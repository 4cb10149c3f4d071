"""What a GPU does with a network, bare and as it is served: ``python benchmarks/gpu.py``.

``bare`` is the network with its weights and a batch on the device already, as a benchmark of the
card would have it. ``served`` is what an engine does: from a batch in numpy's memory to logits
there. Weights are random, which changes no speed. They take turns in every round. ``--device
cpu`` is for trying the program out.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import torch

from common.settings.consumer import FloatPrecision
from engine.models import torchvision_zoo
from engine.runtimes.computing import Computing
from engine.runtimes.on_torch import DTYPES, TorchNetwork

_PX = 224
_ROUNDS = 9
_WARM_UPS = 3
_TURN_S = 0.3
_COLUMNS = (
    "network",
    "precision",
    "batch",
    "bare, images a second",
    "served, images a second",
    "served of bare",
)

Step = Callable[[], object]


def main() -> None:
    arguments = _parse_arguments()
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, compiled: {arguments.compile}")  # noqa: T201
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}")  # noqa: T201
    for precision in arguments.precisions:
        for row in _rows(arguments, precision):
            print(f"| {' | '.join(row)} |", flush=True)  # noqa: T201


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50", help="of torchvision")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--precisions", nargs="+", choices=get_args(FloatPrecision), default=("float32", "half")
    )
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8, 64))
    parser.add_argument("--compile", action="store_true", help="both of them")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    return parser.parse_args()


def _rows(arguments: argparse.Namespace, precision: FloatPrecision) -> Iterator[tuple[str, ...]]:
    images = np.random.default_rng(0).normal(size=(max(arguments.batches), 3, _PX, _PX))
    floats = images.astype(np.float32)
    computing = Computing(
        device=arguments.device,
        precision=precision,
        compiles=arguments.compile,
        largest_batch=len(floats),
    )
    served = TorchNetwork(_network(arguments.network), computing, example=floats[:1])
    device = torch.device(arguments.device)
    module = _network(arguments.network).to(device, DTYPES[precision])
    bare: Callable[[torch.Tensor], object] = module
    if arguments.compile:
        bare = torch.compile(module, dynamic=False)
    for size in arguments.batches:
        batch = torch.from_numpy(floats[:size]).to(device, DTYPES[precision])
        steps: tuple[Step, Step] = (partial(bare, batch), partial(served, floats[:size]))
        rounds = [_turns(steps, size, number) for number in range(arguments.rounds)]
        bare_rate, served_rate = (statistics.median(rates) for rates in zip(*rounds, strict=True))
        share = statistics.median(own / one for one, own in rounds)
        rates = (f"{bare_rate:.1f}", f"{served_rate:.1f}", f"{share:.2f}")
        yield (arguments.network, precision, str(size), *rates)


def _network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return torchvision_zoo.architecture(name).eval()


def _turns(steps: tuple[Step, Step], size: int, number: int) -> tuple[float, float]:
    """Let both take their turn, each second time in the other order; return images a second."""
    order = (0, 1) if number % 2 else (1, 0)
    rates = {index: size / _turn_s(steps[index]) for index in order}
    return rates[0], rates[1]


def _turn_s(step: Step) -> float:
    """Return how long a step takes, in the mean of as many as fit into a turn."""
    for _ in range(_WARM_UPS):
        _timed_s(step, 1)
    steps = max(1, round(_TURN_S / _timed_s(step, 1)))
    return _timed_s(step, steps) / steps


def _timed_s(step: Step, times: int) -> float:
    _wait()
    started_s = time.perf_counter()
    with torch.inference_mode():
        for _ in range(times):
            step()
    _wait()
    return time.perf_counter() - started_s


def _wait() -> None:
    """Wait for what a GPU was told to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
