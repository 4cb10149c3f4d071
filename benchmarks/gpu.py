"""What a GPU does with a network, bare and as it is served: ``python -m benchmarks.gpu``.

``bare`` is the network with its weights and a batch on the device already, as a benchmark of the
card would have it. ``served`` is what an engine does: from a batch in numpy's memory to logits
there. Weights are random, which changes no speed. They take turns in every round. ``--device
cpu`` is for trying the program out.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Final, get_args

import numpy as np
import torch

from benchmarks.figures import ratio
from benchmarks.report import markdown_table
from benchmarks.turns import Step, take_turns
from common.settings import Precision
from engine.models import torchvision_zoo
from engine.runtimes.computing import Computing
from engine.runtimes.on_torch import DTYPES, TorchNetwork

_PX: Final = 224
_ROUNDS: Final = 9
_TURN_S: Final = 0.3
_COLUMNS: Final = (
    "network", "precision", "batch", "bare, images a second", "served, images a second",
    "served of bare",
)  # fmt: skip


def main() -> None:
    arguments = _parse_arguments()
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    print(f"torch {torch.__version__}, {name}, compiled: {arguments.compile}")  # noqa: T201
    rows = [row for precision in arguments.precisions for row in _rows(arguments, precision)]
    print(markdown_table(_COLUMNS, rows))  # noqa: T201 (what this is for)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50", help="of torchvision")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--precisions", nargs="+", choices=get_args(Precision), default=("float32", "half")
    )
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8, 64))
    parser.add_argument("--compile", action="store_true", help="both of them")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    return parser.parse_args()


def _rows(arguments: argparse.Namespace, precision: Precision) -> Iterator[tuple[str, ...]]:
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
    bare: Callable[[torch.Tensor], object] = _network(arguments.network).to(
        device, DTYPES[precision]
    )
    if arguments.compile:
        bare = torch.compile(bare, dynamic=False)
    bare = torch.inference_mode()(bare)
    for size in arguments.batches:
        batch = torch.from_numpy(floats[:size]).to(device, DTYPES[precision])
        steps: dict[str, Step] = {
            "bare": partial(bare, batch),
            "served": partial(served, floats[:size]),
        }
        times_ms = take_turns(steps, rounds=arguments.rounds, turn_s=_TURN_S, finish=_wait)
        rates = [f"{size * 1000 / median(times_ms[name]):.1f}" for name in steps]
        share = ratio(times_ms["bare"], times_ms["served"]).median
        yield (arguments.network, precision, str(size), *rates, f"{share:.2f}")


def _network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return torchvision_zoo.architecture(name).eval()


def _wait() -> None:
    """Wait for what a GPU was told to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
