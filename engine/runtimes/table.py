"""The table of runtimes: what each of them can compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from common.settings.consumer import Runtime
from engine.runtimes.network import Network
from engine.runtimes.on_onnx import OnnxNetwork
from engine.runtimes.precision import Precision


class OpenFile(Protocol):
    """Loads a network from a file of the ONNX format."""

    def __call__(self, file: Path, *, threads: int, precision: Precision) -> Network: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """One runtime. A new one is one more row in ``RUNTIMES``, and a name in the settings.

    Args:
        title: Its name, for people.
        devices: The values of ``DARKROOM_DEVICE`` that it supports.
        open_file: Loads an ONNX file, and raises ImportError if it is not installed. None: it
            computes only networks that torch has made.
        precisions: The precisions of ONNX files that it computes.
    """

    title: str
    devices: frozenset[str] = frozenset({"auto", "cpu"})
    open_file: OpenFile | None = None
    precisions: frozenset[Precision] = frozenset()


def _by_openvino(file: Path, *, threads: int, precision: Precision) -> Network:
    from engine.runtimes.on_openvino import OpenVinoNetwork  # noqa: PLC0415 (an extra)

    return OpenVinoNetwork(file, threads=threads, precision=precision)


RUNTIMES: Final[Mapping[Runtime, RuntimeRow]] = {
    "onnx": RuntimeRow(
        title="onnxruntime",
        open_file=OnnxNetwork,
        precisions=frozenset({"float32", "int8"}),
    ),
    "openvino": RuntimeRow(
        title="OpenVINO",
        open_file=_by_openvino,
        precisions=frozenset({"float32", "int8", "bfloat16"}),
    ),
    "torch": RuntimeRow(title="torch", devices=frozenset({"auto", "cpu", "cuda"})),
}

# The other runtimes are compared with this one, and it serves where they cannot.
REFERENCE: Final = RUNTIMES["onnx"]


def runtime_for(precision: Precision) -> RuntimeRow:
    """Return the first runtime that computes ONNX files in *precision*."""
    return next(row for row in RUNTIMES.values() if precision in row.precisions)
