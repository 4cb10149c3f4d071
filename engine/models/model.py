"""What every kind of model can do."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import PIL.Image

from common.jobs import Prediction


class Model(Protocol):
    """A loaded model."""

    @property
    def version(self) -> str:
        """A digest of all that decides its answers: see ``versions``."""
        ...

    @property
    def label_count(self) -> int:
        """The number of labels; 0 if unknown."""
        ...

    @property
    def description(self) -> str: ...

    @property
    def precision(self) -> str:
        """What it does most of its arithmetic in; empty if unknown."""
        ...

    @property
    def runtime(self) -> str:
        """The runtime that computes it, as ``DARKROOM_RUNTIME`` names that, or ``predictor``."""
        ...

    @property
    def remark(self) -> str:
        """What differs from what was asked for, or is not exact; empty if nothing does."""
        ...

    @property
    def enough_px(self) -> int:
        """The shorter side that images need at least; 0: it needs all pixels."""
        ...

    def prepare(self, image: PIL.Image.Image) -> Any:
        """Turn an upright RGB image into the input of ``predict``; called in any thread.

        Inputs of the same shape can be computed as one batch.
        """
        ...

    def predict(self, prepared: Sequence[Any], *, top_k: int) -> list[tuple[Prediction, ...]]:
        """Name the *top_k* most probable labels of each image, the most probable first."""
        ...


def classify(
    model: Model, images: Iterable[PIL.Image.Image], *, top_k: int
) -> list[tuple[Prediction, ...]]:
    """Name the *top_k* most probable labels of each upright RGB image."""
    return model.predict([model.prepare(image) for image in images], top_k=top_k)
