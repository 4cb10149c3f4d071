"""The network in float32 that another is made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.models import onnx_file
from engine.models.classifier import Kit
from engine.models.exported import export_of
from engine.models.origin import Origin
from engine.runtimes.computing import Computing, Serving
from engine.runtimes.equivalence import NotEquivalentError
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.order import Order
from modeltools.quantizing.photographs import Photographs


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the ONNX format, in float32, and what belongs to it."""

    file: Path
    kit: Kit

    @classmethod
    def find(cls, order: Order) -> Self:
        """Find the network of the model that *order* names; export it if that was never done.

        Raises:
            CannotQuantizeError: It has none that could be quantized.
            ModelUnavailableError: It cannot be loaded.
        """
        origin = Origin.find(order.name, order.places)
        if origin.kind == "predictor":
            raise CannotQuantizeError(f"{order.name} is code of its own, not a network")
        if origin.kind == "onnx":
            return cls(*_brought_along(origin, order))
        try:
            file, export = export_of(origin)
        except NotEquivalentError as exc:
            raise CannotQuantizeError(f"{order.name} cannot be exported: {exc}") from exc
        return cls(file, export.kit)

    def photographs(self, folder: Path, order: Order) -> Photographs:
        """Find the photographs of *folder*."""
        return Photographs.in_folder(
            folder,
            labels=self.kit.labels,
            preprocessing=self.kit.preprocessing,
            max_pixels=order.max_pixels,
        )


def _brought_along(origin: Origin, order: Order) -> tuple[Path, Kit]:
    folder, described = origin.needed_folder
    if described.precision != "float32":
        raise CannotQuantizeError(
            f"{order.name} is in {described.precision} already; name the model it was made from"
        )
    loaded = onnx_file.load(origin, Serving("onnx", order.threads, Computing()))
    return folder / (described.network or ""), loaded.kit
