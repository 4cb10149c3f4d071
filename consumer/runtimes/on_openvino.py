"""Networks computed by OpenVINO, from the same files as onnxruntime's."""

from pathlib import Path

import openvino

from consumer.runtimes.network import Floats


class OpenVinoNetwork:
    """A network in a file of the ONNX format, on the CPU."""

    runtime = "openvino"

    def __init__(self, path: Path, *, threads: int) -> None:
        settings = {
            # By itself it takes bfloat16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            # It pins threads to cores: two engines would share the first one.
            "ENABLE_CPU_PINNING": False,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._network = openvino.Core().compile_model(path, "CPU", settings)

    def __call__(self, images: Floats) -> Floats:
        [logits] = self._network([images]).values()
        result: Floats = logits
        return result
