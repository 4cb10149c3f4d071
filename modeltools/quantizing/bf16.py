"""From a float32 network to one whose weights are stored in bfloat16."""

import math
from pathlib import Path
from typing import Final

import ml_dtypes
import onnx
from onnx import TensorProto, helper, numpy_helper

# Smaller tensors are biases or constants: they need little space, and float32 keeps them exact.
_LEAST_NUMBERS: Final = 256


def write_bf16(source: Path, target: Path) -> None:
    """Write *source* to *target*, half the size: OpenVINO would round the weights anyway."""
    model = onnx.load(source)
    graph = model.graph
    casts = []
    for tensor in [one for one in graph.initializer if _is_worth_it(one)]:
        rounded = numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16)
        stored = numpy_helper.from_array(rounded, f"{tensor.name}.bf16")
        casts.append(helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT))
        graph.initializer.remove(tensor)
        graph.initializer.append(stored)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, target)


def _is_worth_it(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= _LEAST_NUMBERS
