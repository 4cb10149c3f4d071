"""A model that torch makes: a checkpoint, a program, or torchvision's. An export may serve it."""

from dataclasses import replace
from typing import Final

from common.text import joined
from engine.models import onnx_file
from engine.models.classifier import Classifier
from engine.models.exported import export_of
from engine.models.origin import Origin
from engine.models.output import check_output
from engine.models.probe import probe
from engine.runtimes.computing import Serving
from engine.runtimes.equivalence import NotEquivalentError
from engine.runtimes.table import RUNTIMES

_ALONE: Final = "its folder is not here: served from its export alone"


def load(origin: Origin, serving: Serving) -> Classifier:
    """Load a network that torch has made, and check that its outputs are what its folder says.

    Raises:
        ModelUnavailableError: They are not, or it cannot be made; the text says why.
    """
    served = _served(origin, serving)
    if origin.described is not None:  # of torchvision's it is known
        outputs = served.network(probe(served.spec.preprocessing)[:2])
        check_output(outputs, origin.described.output)
    return served


def _served(origin: Origin, serving: Serving) -> Classifier:
    runtime = RUNTIMES[serving.runtime]
    if serving.computing.device not in runtime.devices:
        return _by_torch(origin, serving, remark=f"{serving.runtime} is for CPUs")
    if runtime.open_file is None:
        return _by_torch(origin, serving)
    try:
        return _by_export(origin, serving)
    except NotEquivalentError as exc:
        return _by_torch(origin, serving, remark=str(exc))


def _by_export(origin: Origin, serving: Serving) -> Classifier:
    """Serve the export of a network.

    Raises:
        NotEquivalentError: Only torch can compute it.
    """
    file, export = export_of(origin)
    served = onnx_file.serve(file, export.spec, runtime=serving.runtime, threads=serving.threads)
    alone = _ALONE if export.from_folder and origin.folder is None else ""
    undone = f"{served.runtime} computes in float32 and compiles nothing; torch would"
    return replace(
        served,
        remark=joined(
            served.remark,
            export.remark,
            alone,
            undone if serving.computing.is_for_torch_alone else "",
        ),
    )


def _by_torch(origin: Origin, serving: Serving, *, remark: str = "") -> Classifier:
    from engine.models.by_torch import served_by_torch  # noqa: PLC0415 (loads torch)
    from engine.models.pretrained_loading import load_pretrained  # noqa: PLC0415 (loads torch)

    return served_by_torch(load_pretrained(origin), serving.computing, remark=remark)
