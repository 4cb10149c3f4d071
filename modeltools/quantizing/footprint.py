"""Measure how much memory one network takes: ``python -m modeltools.quantizing.footprint ...``.

In a process of its own, so that nothing else is counted.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final, cast

import numpy as np

from common.memory import MEBIBYTE, resident_bytes
from common.settings.consumer import Runtime
from engine.runtimes.network import Network
from engine.runtimes.precision import Precision
from engine.runtimes.table import RUNTIMES

_IMAGES: Final = 3


def resident_mb(
    file: Path, *, runtime: str, precision: Precision, threads: int, shape: tuple[int, ...]
) -> float | None:
    """Measure the memory of a process that has loaded *file* and computed some images.

    Args:
        file: The network.
        runtime: ``onnx`` or ``openvino``.
        precision: What it computes in.
        threads: How many it computes with.
        shape: Of the input tensor.

    Returns:
        MiB, including Python and the runtime; None if it cannot be measured.
    """
    command = [sys.executable, "-m", "modeltools.quantizing.footprint"]
    ended = subprocess.run(  # noqa: S603 (our own command)
        [*command, str(file), runtime, precision, str(threads), *map(str, shape)],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    return float(ended.stdout) if ended.returncode == 0 and ended.stdout.strip() != "0.0" else None


def main() -> None:
    """Load what the command line names, compute, and print how much memory that takes."""
    file, runtime, precision, threads, *shape = sys.argv[1:]
    network = _network(
        Path(file), cast("Runtime", runtime), cast("Precision", precision), int(threads)
    )
    for _ in range(_IMAGES):
        network(np.zeros(tuple(map(int, shape)), np.float32))
    sys.stdout.write(f"{resident_bytes(os.getpid()) / MEBIBYTE:.1f}\n")


def _network(file: Path, runtime: Runtime, precision: Precision, threads: int) -> Network:
    open_file = RUNTIMES[runtime].open_file
    if open_file is None:
        raise ValueError(f"{runtime} does not compute ONNX files")
    return open_file(file, threads=threads, precision=precision)


if __name__ == "__main__":
    main()
