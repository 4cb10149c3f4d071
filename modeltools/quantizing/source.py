"""The network in float32 that another is made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.models import onnx_file
from engine.models.classifier import ModelSpec
from engine.models.exported import export_of
from engine.models.origin import Origin
from engine.runtimes.computing import Computing, Serving
from engine.runtimes.equivalence import NotEquivalentError
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.photographs import Photographs
from modeltools.quantizing.request import QuantizeRequest


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the ONNX format, in float32, and what belongs to it."""

    file: Path
    spec: ModelSpec

    @classmethod
    def find(cls, request: QuantizeRequest) -> Self:
        """Find the network of the model that *request* names; export it if that was never done.

        Raises:
            CannotQuantizeError: It has none that could be quantized.
            ModelUnavailableError: It cannot be loaded.
        """
        origin = Origin.find(request.name, request.paths)
        if origin.kind == "predictor":
            raise CannotQuantizeError(f"{request.name} is Python code, not a network")
        if origin.kind == "onnx":
            return cls(*_brought_along(origin, request))
        try:
            file, export = export_of(origin)
        except NotEquivalentError as exc:
            raise CannotQuantizeError(f"{request.name} cannot be exported: {exc}") from exc
        return cls(file, export.spec)

    def photographs(self, folder: Path, request: QuantizeRequest) -> Photographs:
        """Find the photographs of *folder*."""
        return Photographs.in_folder(
            folder,
            labels=self.spec.labels,
            preprocessing=self.spec.preprocessing,
            max_pixels=request.max_pixels,
        )


def _brought_along(origin: Origin, request: QuantizeRequest) -> tuple[Path, ModelSpec]:
    folder, described = origin.needed_folder
    if described.precision != "float32":
        raise CannotQuantizeError(
            f"{request.name} is in {described.precision} already; name the model it was made from"
        )
    loaded = onnx_file.load(origin, Serving("onnx", request.threads, Computing()))
    return folder / (described.network or ""), loaded.spec
