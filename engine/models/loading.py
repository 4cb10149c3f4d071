"""From the name of a model to the model."""

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from common.settings.consumer import Runtime
from common.text import text_of
from engine.models import folder, onnx_file, predictor
from engine.models.classifier import Classifier, Kit
from engine.models.errors import ModelUnavailableError
from engine.models.exporting import UNAVAILABLE
from engine.models.exports import Export
from engine.models.model import Model
from engine.models.output import check_output
from engine.models.places import Places
from engine.models.probe import probe
from engine.runtimes.agreement import NotTheSameError
from engine.runtimes.computing import Computing

if TYPE_CHECKING:  # torch only where it is needed: it takes a second to import
    from engine.models.pretrained import Pretrained

_AS_IT_COMES: Final = Computing()

_ALONE: Final = "its folder is not here: served from its export alone"

log = structlog.stdlib.get_logger(__name__)


def load_model(
    name: str,
    places: Places,
    *,
    runtime: Runtime,
    threads: int,
    computing: Computing = _AS_IT_COMES,
) -> Model:
    """Load the model *name*: the folder of that name, else torchvision's model.

    Raises:
        ModelUnavailableError: It cannot be had; the text says why.
    """
    try:
        place = places.folder(name)
        described = None if place is None else folder.read(place)
        if place is not None and described is not None and described.predictor is not None:
            return predictor.load(place, described)
        if place is not None and described is not None and described.network is not None:
            return onnx_file.load(place, described, runtime=runtime, threads=threads)
        return _checked(_served(name, places, runtime, threads, computing), described)
    except ModelUnavailableError:
        raise
    except Exception as exc:  # weights and code of users fail in any way they like
        raise ModelUnavailableError(text_of(exc)) from exc


def _checked(served: Classifier, described: folder.ModelFile | None) -> Classifier:
    """See that the outputs of a network are what its folder says; torchvision's are known."""
    if described is not None:
        check_output(served.network(probe(served.kit.preprocessing)[:2]), described.output)
    return served


def _served(
    name: str, places: Places, runtime: Runtime, threads: int, computing: Computing
) -> Classifier:
    """Serve a network that torch has made, by torch or from its export."""
    if runtime == "torch":
        return _served_by_torch(name, places, computing)
    if computing.wants_torch:
        return _served_by_torch(name, places, computing, remark=f"{runtime} is for CPUs")
    served = _served_by_export(name, places, runtime, threads, computing)
    return _telling_what_is_left_undone(served, computing)


def load_pretrained(name: str, places: Places) -> "Pretrained":
    """Load a network with torch.

    Raises:
        ModelUnavailableError: It cannot be had; the text says why.
    """
    try:
        place = places.folder(name)
        if place is None:
            from engine.models import torchvision_zoo  # noqa: PLC0415

            return torchvision_zoo.load(name, weights_dir=places.weights)
        from engine.models import checkpoint  # noqa: PLC0415

        return checkpoint.load(place, folder.read(place))
    except ModelUnavailableError:
        raise
    except Exception as exc:
        raise ModelUnavailableError(text_of(exc)) from exc


def exported(name: str, places: Places) -> tuple[Path, Kit]:
    """Return the file that a model is exported to, which is made now if there is none.

    Raises:
        NotTheSameError: Only torch can compute it; the text says why.
        ModelUnavailableError: It cannot be had.
    """
    export = _found_or_made(name, places)
    if export.file is None:
        raise NotTheSameError(export.reason)
    return places.exports.path(export.file), export.kit


def _found_or_made(name: str, places: Places) -> Export:
    export = places.valid_export(name)
    if export is not None:
        return export
    if find_spec("torch") is None:
        raise ModelUnavailableError("there is no export of it, and no torch to make one with")
    log.info("exporting", model=name)
    failure = _export_in_a_process(name, places)
    export = places.valid_export(name)
    if export is None:
        raise NotTheSameError(failure)
    return export


def _served_by_export(
    name: str, places: Places, runtime: Runtime, threads: int, computing: Computing
) -> Classifier:
    try:
        export = _found_or_made(name, places)
    except NotTheSameError as exc:
        return _served_by_torch(name, places, computing, remark=str(exc))
    if export.file is None:
        return _served_by_torch(name, places, computing, remark=export.reason)
    file = places.exports.path(export.file)
    served = onnx_file.serve(file, export.kit, runtime=runtime, threads=threads)
    alone = _ALONE if export.from_folder and places.folder(name) is None else ""
    remarks = "; ".join(filter(None, (served.remark, export.remark, alone)))
    return replace(served, remark=remarks)


def _served_by_torch(
    name: str, places: Places, computing: Computing, *, remark: str = ""
) -> Classifier:
    from engine.models.by_torch import served_by_torch  # noqa: PLC0415

    return served_by_torch(load_pretrained(name, places), computing, remark=remark)


def _telling_what_is_left_undone(model: Classifier, computing: Computing) -> Classifier:
    if model.runtime == "torch" or not computing.is_for_torch_alone:
        return model
    undone = f"{model.runtime} computes in float32 and compiles nothing; torch would"
    return replace(model, remark="; ".join(filter(None, (model.remark, undone))))


def _export_in_a_process(name: str, places: Places) -> str:
    """Have a model exported; return why there is no record of it, if there is none.

    Raises:
        ModelUnavailableError: It cannot be had.
    """
    command = [sys.executable, "-m", "engine.models.exporting", name]
    folders = ["--models-dir", str(places.models), "--weights-dir", str(places.weights)]
    ended = subprocess.run(  # noqa: S603 (our own command)
        [*command, *folders], check=False, stdout=subprocess.PIPE, text=True
    )
    if ended.returncode == UNAVAILABLE:
        raise ModelUnavailableError(ended.stdout)
    return f"the export ended with status {ended.returncode}"
