"""The speed of a network on a GPU, bare and as it is served: ``python -m benchmarks.gpu``.

``bare`` is the network with its weights and a batch on the device already, as a benchmark of the
card would have it. ``served`` is what an engine does: from a batch in numpy's memory to logits
there. Weights are random, which changes no speed. They take turns in every round. ``--device
cpu`` is for trying the program out.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import get_args

import numpy as np
import torch

from benchmarks.figures import ratio
from benchmarks.turns import Step, take_turns
from common.settings.consumer import FloatPrecision
from engine.models import torchvision_zoo
from engine.runtimes.computing import Computing
from engine.runtimes.on_torch import DTYPES, TorchNetwork
from testbed.markdown import table

_PX = 224
_TURN_S = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50", help="of torchvision")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--precisions", nargs="+", choices=get_args(FloatPrecision), default=("float32", "half")
    )
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8, 64))
    parser.add_argument("--compile", action="store_true", help="both of them")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    name = torch.cuda.get_device_name() if asked.device == "cuda" else "CPU"
    rates = [f"{way}, images a second" for way in ("bare", "served")]
    head = ("network", "precision", "batch", *rates, "served of bare")
    rows = [row for precision in asked.precisions for row in _rows(asked, precision)]
    print(f"torch {torch.__version__}, {name}, compiled: {asked.compile}")  # noqa: T201
    print(table(head, rows))  # noqa: T201 (what this is for)


def _rows(asked: argparse.Namespace, precision: FloatPrecision) -> Iterator[tuple[str, ...]]:
    images = np.random.default_rng(0).normal(size=(max(asked.batches), 3, _PX, _PX))
    floats = images.astype(np.float32)
    computing = Computing(
        device=asked.device,
        precision=precision,
        compiles=asked.compile,
        largest_batch=len(floats),
    )
    served = TorchNetwork(_network(asked.network), computing, example=floats[:1])
    bare: Callable[[torch.Tensor], object] = _network(asked.network).to(
        torch.device(asked.device), DTYPES[precision]
    )
    if asked.compile:
        bare = torch.compile(bare, dynamic=False)
    bare = torch.inference_mode()(bare)
    for size in asked.batches:
        batch = torch.from_numpy(floats[:size]).to(torch.device(asked.device), DTYPES[precision])
        steps: dict[str, Step] = {
            "bare": partial(bare, batch),
            "served": partial(served, floats[:size]),
        }
        times_ms = take_turns(steps, rounds=asked.rounds, turn_s=_TURN_S, finish=_wait)
        rates = [f"{size * 1000 / median(times_ms[name]):.1f}" for name in steps]
        share = ratio(times_ms["bare"], times_ms["served"]).median
        yield (asked.network, precision, str(size), *rates, f"{share:.2f}")


def _network(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return torchvision_zoo.architecture(name).eval()


def _wait() -> None:
    """Wait until a GPU has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
