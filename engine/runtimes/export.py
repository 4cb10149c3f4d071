"""Export a torch network to an ONNX file, and compare the two."""

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from engine.runtimes.equivalence import NotEquivalentError, difference
from engine.runtimes.network import Floats
from engine.runtimes.on_onnx import INPUT, OUTPUT, OnnxNetwork


def export(module: torch.nn.Module, probe: Floats, path: Path, *, is_fixed: bool) -> float:
    """Write *module* to *path*, and compare the results of the file with those of the module.

    Args:
        module: In evaluation mode.
        probe: Preprocessed images, shape (n, channels, height, width), of two or more.
        path: The file to write.
        is_fixed: Whether all images have the same height and width.

    Returns:
        The largest difference between two logits, in standard deviations of all logits.

    Raises:
        NotEquivalentError: torch cannot export it, or the results differ.
    """
    try:
        _write(module, probe, path, is_fixed=is_fixed)
        network = OnnxNetwork(path, threads=1)
        return difference(_computed_by(module), network, probe)
    except NotEquivalentError as exc:
        raise NotEquivalentError(f"when exported, {exc}") from exc
    except Exception as exc:  # exporters raise errors of any kind
        reason = str(exc).strip().partition("\n")[0]
        raise NotEquivalentError(f"{type(exc).__name__}: {reason}") from exc


def _write(module: torch.nn.Module, probe: Floats, path: Path, *, is_fixed: bool) -> None:
    some = torch.from_numpy(probe[:2])
    free = torch.export.Dim.AUTO
    sizes = {} if is_fixed else {2: free, 3: free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about itself
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
        raise NotEquivalentError("nothing is written")
    program.save(path)


def _computed_by(module: torch.nn.Module) -> Callable[[Floats], Floats]:
    def compute(images: Floats) -> Floats:
        with torch.inference_mode():
            logits: Floats = module(torch.from_numpy(images)).float().numpy()
        return logits

    return compute
