"""Networks computed by onnxruntime."""

from pathlib import Path
from typing import Final

import onnxruntime

from engine.runtimes.adapting import Input
from engine.runtimes.network import Floats
from engine.runtimes.precision import Precision

INPUT: Final = "images"
OUTPUT: Final = "logits"
_ERRORS_ONLY: Final = 3


class OnnxNetwork:
    """A network in a file of the ONNX format, on the CPU."""

    runtime = "onnx"

    def __init__(self, file: Path, *, threads: int, precision: Precision = "float32") -> None:
        self.precision: Precision = precision
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        # Threads that spin while they wait take the cores that decoding and servers need:
        # docs/adr/0011-one-thread-a-core.md.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not has_vnni():
            # Without VNNI, sums of two 8-bit products overflow 16 bits. This option avoids that, at
            # a quarter of the speed; float32 networks are not affected.
            options.add_session_config_entry("session.x64quantprecision", "1")
        self._session = onnxruntime.InferenceSession(
            file, options, providers=["CPUExecutionProvider"]
        )
        first = self._session.get_inputs()[0]
        self._input = first.name
        self.input = Input(tuple(first.shape), first.type)
        self._output = self._session.get_outputs()[0].name

    def __call__(self, images: Floats) -> Floats:
        [logits] = self._session.run([self._output], {self._input: images})
        result: Floats = logits
        return result


def has_vnni(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor adds 8-bit products in 32 bits; False if unknown."""
    try:
        return "vnni" in cpuinfo.read_text()
    except OSError:
        return False
