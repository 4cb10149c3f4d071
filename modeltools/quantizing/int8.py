"""Quantize a network to 8-bit integers, by onnxruntime's static quantization.

Activations are unsigned and weights signed, with a scale per channel: the only pair of types that
both onnxruntime and OpenVINO compute fast and correctly. See docs/adr/0016-quantized-models.md.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from engine.runtimes.network import Floats
from engine.runtimes.on_onnx import OnnxNetwork
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.progress import progress

# How many of the first layers stay in float32: what they lose, all later layers lose.
_KEPT: Final = (0, 1, 2, 4, 8)
_LAYERS: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def write_int8(source: Path, target: Path, photographs: Sequence[Floats], *, enough: float) -> int:
    """Write *source* in 8 bits to *target*; layers stay in float32 where accuracy needs it.

    Args:
        source: The network in float32.
        target: The file to write.
        photographs: Input tensors of one image each, to measure the ranges of activations with.
        enough: The share of them that must get the same best label.

    Returns:
        The number of first layers that stay in float32: the smallest that is enough, or else the
        one with the best agreement.

    Raises:
        CannotQuantizeError: It has no layers that can be quantized.
    """
    with TemporaryDirectory(prefix="darkroom-") as folder:
        prepared, ranges = Path(folder) / "prepared.onnx", Path(folder) / "ranges.json"
        _prepare(source, prepared)
        wanted = _best(source, photographs)
        best: tuple[float, int] = (-1.0, 0)
        for kept, left_out in progress("trying", list(_choices(prepared))):
            draft = Path(folder) / f"{kept}.onnx"
            _quantize(prepared, draft, photographs, ranges=ranges, left_out=left_out)
            agreement = _agreement(_best(draft, photographs), wanted)
            if agreement > best[0]:
                best = (agreement, kept)
                target.write_bytes(draft.read_bytes())
            if agreement >= enough:
                break
    return best[1]


def _prepare(source: Path, target: Path) -> None:
    """Fold constants, and give every node a name by which it can be excluded."""
    quant_pre_process(str(source), str(target), skip_symbolic_shape=True)
    model = onnx.load(target)
    for index, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{index}"
    onnx.save(model, target)


def _choices(prepared: Path) -> Iterator[tuple[int, list[str]]]:
    """Offer numbers of layers to keep, each with the names of all nodes before the others."""
    nodes = onnx.load(prepared, load_external_data=False).graph.node
    layers = [index for index, node in enumerate(nodes) if node.op_type in _LAYERS]
    if not layers:
        raise CannotQuantizeError("the network has no convolutions and no matrix products")
    for kept in _KEPT:
        if kept == 0 or kept <= len(layers) // 2:
            yield kept, [node.name for node in nodes[: layers[kept]]]


def _quantize(
    source: Path,
    target: Path,
    photographs: Sequence[Floats],
    *,
    ranges: Path,
    left_out: Sequence[str],
) -> None:
    quantize_static(
        source,
        target,
        _Reader(_input_of(source), photographs),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        nodes_to_exclude=list(left_out),
        calibration_cache_path=ranges,  # written the first time, then read
    )


def _input_of(file: Path) -> str:
    return str(onnx.load(file, load_external_data=False).graph.input[0].name)


def _best(file: Path, photographs: Sequence[Floats]) -> list[int | None]:
    """Return the index of the best label of each photograph; None: its logits are not finite."""
    network = OnnxNetwork(file, threads=1)
    return [_index(network(images)) for images in photographs]


def _index(logits: Floats) -> int | None:
    return int(logits.argmax()) if np.isfinite(logits).all() else None


def _agreement(ours: Sequence[int | None], wanted: Sequence[int | None]) -> float:
    pairs = zip(ours, wanted, strict=True)
    return float(np.mean([one is not None and one == other for one, other in pairs]))


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, name: str, photographs: Sequence[Floats]) -> None:
        self._name = name
        self._left = iter(progress("calibrating", photographs))

    def get_next(self) -> dict[str, Floats] | None:
        images = next(self._left, None)
        return None if images is None else {self._name: images}
