"""From a network of torch to a file in the ONNX format, and whether the two agree."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import torch

from common.errors import PermanentError
from consumer.runtimes.network import Floats
from consumer.runtimes.on_onnx import INPUT, OUTPUT, OnnxNetwork

# Of the standard deviation of all logits of the probe.
MOST_DIFFERENCE: Final = 1e-3
_TOP: Final = 5


class NotExportableError(PermanentError):
    """torch has to serve this network; the text says why, for people."""


def export(module: torch.nn.Module, probe: Floats, path: Path, *, is_fixed: bool) -> float:
    """Write *module* to *path*, and compare what the file computes with what it does.

    Args:
        module: In evaluation mode.
        probe: Preprocessed images, shape (n, channels, height, width), of two or more.
        path: Where the file shall be.
        is_fixed: Whether all images have the height and the width of these.

    Returns:
        The largest difference between two logits, in standard deviations of all logits.

    Raises:
        NotExportableError: torch cannot write it, or the results disagree.
    """
    try:
        _write(module, probe, path, is_fixed=is_fixed)
        network = OnnxNetwork(path, threads=1)
        return difference(_computed_by(module), network, probe)
    except NotExportableError:
        raise
    except Exception as exc:  # exporters fail in any way they like
        reason = str(exc).strip().partition("\n")[0]
        raise NotExportableError(f"{type(exc).__name__}: {reason}") from exc


def difference(
    reference: Callable[[Floats], Floats], other: Callable[[Floats], Floats], probe: Floats
) -> float:
    """Compare two networks on *probe*, all images at once and the first alone.

    Raises:
        NotExportableError: The most probable labels differ, or a logit by too much.
    """
    expected = reference(probe)
    scale = float(expected.std()) or 1.0
    largest = 0.0
    for images, wanted in ((probe, expected), (probe[:1], expected[:1])):
        logits = other(images)
        if logits.shape != wanted.shape:
            raise NotExportableError(f"its logits have the shape {logits.shape}")
        if not np.array_equal(_best(logits), _best(wanted)):
            raise NotExportableError("its most probable labels are not those that torch finds")
        largest = max(largest, float(np.abs(logits - wanted).max()) / scale)
    if not largest < MOST_DIFFERENCE:  # so that NaN does not pass
        raise NotExportableError(
            f"its logits differ from torch's by {largest:.2g} standard deviations"
        )
    return largest


def _write(module: torch.nn.Module, probe: Floats, path: Path, *, is_fixed: bool) -> None:
    some = torch.from_numpy(probe[:2])
    free = torch.export.Dim.AUTO
    sizes = {} if is_fixed else {2: free, 3: free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            module,
            (some,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch"), **sizes},),
            verbose=False,
        )
    if program is None:
        raise NotExportableError("torch wrote nothing")
    program.save(path)


def _computed_by(module: torch.nn.Module) -> Callable[[Floats], Floats]:
    def compute(images: Floats) -> Floats:
        with torch.inference_mode():
            logits: Floats = module(torch.from_numpy(images)).float().numpy()
        return logits

    return compute


def _best(logits: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    return np.argsort(-logits, axis=1, kind="stable")[:, :_TOP]
