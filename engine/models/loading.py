"""From the name of a model to the model."""

from collections.abc import Callable, Mapping
from typing import Final

from common.settings.consumer import Runtime
from engine.models import from_torch, onnx_file, predictor
from engine.models.errors import told_as_unavailable
from engine.models.folder import Kind
from engine.models.model import Model
from engine.models.origin import Origin
from engine.models.paths import ModelPaths
from engine.runtimes.computing import Computing, Serving

# A new kind of model is one more row here, and a name in ``folder.Kind``.
LOADERS: Final[Mapping[Kind, Callable[[Origin, Serving], Model]]] = {
    "predictor": predictor.load,
    "onnx": onnx_file.load,
    "torch": from_torch.load,
}

_AS_IT_COMES: Final = Computing()


def load_model(
    name: str,
    paths: ModelPaths,
    *,
    runtime: Runtime,
    threads: int,
    computing: Computing = _AS_IT_COMES,
) -> Model:
    """Load the model *name*: the folder of that name, else torchvision's model.

    Raises:
        ModelUnavailableError: It cannot be loaded; the text says why.
    """
    with told_as_unavailable():
        origin = Origin.find(name, paths)
        return LOADERS[origin.kind](origin, Serving(runtime, threads, computing))
