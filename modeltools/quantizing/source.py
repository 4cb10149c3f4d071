"""The network in float32 that another is made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.models import folder, onnx_file
from engine.models.classifier import Kit
from engine.models.folder import ModelFile
from engine.models.loading import exported
from engine.runtimes.agreement import NotTheSameError
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
            ModelUnavailableError: It cannot be had.
        """
        place = order.places.folder(order.name)
        described = None if place is None else folder.read(place)
        if described is not None and described.predictor is not None:
            raise CannotQuantizeError(f"{order.name} is code of its own, not a network")
        if place is not None and described is not None and described.network is not None:
            return cls(*_brought_along(place, described, order))
        try:
            return cls(*exported(order.name, order.places))
        except NotTheSameError as exc:
            raise CannotQuantizeError(f"{order.name} cannot be exported: {exc}") from exc

    def photographs(self, folder: Path, order: Order) -> Photographs:
        """Find the photographs of *folder*."""
        return Photographs.in_folder(
            folder,
            labels=self.kit.labels,
            preprocessing=self.kit.preprocessing,
            max_pixels=order.max_pixels,
        )


def _brought_along(place: Path, described: ModelFile, order: Order) -> tuple[Path, Kit]:
    if described.precision != "float32":
        raise CannotQuantizeError(
            f"{order.name} is in {described.precision} already; name the model it was made from"
        )
    loaded = onnx_file.load(place, described, runtime="onnx", threads=order.threads)
    return place / (described.network or ""), loaded.kit
