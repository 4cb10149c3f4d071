"""How fast two networks are, side by side."""

import time
from collections.abc import Sequence
from itertools import cycle
from statistics import median
from typing import Final

from engine.runtimes.network import Floats, Network
from modeltools.quantizing.progress import progress

_TURNS: Final = 7
TURN_S: Final = 0.4


def images_per_second(networks: Sequence[Network], photographs: Sequence[Floats]) -> list[float]:
    """Measure each network, one image at a time.

    They take turns, every other round in reverse, so that what else the machine does meets
    all alike; the median turn counts.
    """
    for network in networks:
        network(photographs[0])
    rates: list[list[float]] = [[] for _ in networks]
    for turn in progress("timing", range(_TURNS)):
        order = range(len(networks))
        for index in reversed(order) if turn % 2 else order:
            rates[index].append(_rate(networks[index], photographs))
    return [median(each) for each in rates]


def _rate(network: Network, photographs: Sequence[Floats]) -> float:
    started_s = time.perf_counter()
    for images, photograph in enumerate(cycle(photographs), 1):
        network(photograph)
        elapsed_s = time.perf_counter() - started_s
        if elapsed_s >= TURN_S:
            return images / elapsed_s
    raise ValueError("there are no photographs")
