"""Networks computed by OpenVINO, from the same files as onnxruntime's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import openvino

from engine.runtimes.network import Floats
from engine.runtimes.precision import Precision

# The layers of an int8 network that are not in 8 bits are in float32.
_HINTS: Final[Mapping[Precision, str]] = {"float32": "f32", "int8": "f32", "bfloat16": "bf16"}


class OpenVinoNetwork:
    """A network in a file of the ONNX format, on the CPU."""

    runtime = "openvino"

    def __init__(self, file: Path, *, threads: int, precision: Precision = "float32") -> None:
        self._precision = precision
        settings = {
            # By default it uses bfloat16 on processors that have it.
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            # By default it pins threads to cores, and two engines would share the first ones.
            "ENABLE_CPU_PINNING": False,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._network = openvino.Core().compile_model(file, "CPU", settings)

    @property
    def is_bf16(self) -> bool:
        """Whether it computes in bfloat16; on processors without it, it uses float32."""
        hint = self._network.get_property("INFERENCE_PRECISION_HINT")
        return bool(hint == openvino.Type.bf16)

    @property
    def precision(self) -> Precision:
        return "float32" if self._precision == "bfloat16" and not self.is_bf16 else self._precision

    def __call__(self, images: Floats) -> Floats:
        [logits] = self._network([images]).values()
        result: Floats = logits
        return result
