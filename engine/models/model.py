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
        """How many labels it tells apart; 0 if it does not say."""
        ...

    @property
    def description(self) -> str: ...

    @property
    def precision(self) -> str:
        """What it computes in; empty if it does not say."""
        ...

    @property
    def runtime(self) -> str:
        """What computes it."""
        ...

    @property
    def remark(self) -> str:
        """What is not as it was asked for, or not exact; empty if there is nothing."""
        ...

    @property
    def enough_px(self) -> int:
        """The shorter side of images that are large enough for it; 0: it wants all pixels."""
        ...

    def prepare(self, image: PIL.Image.Image) -> Any:
        """Make of an upright RGB image what ``predict`` wants; in any thread.

        What has a shape can be computed along with what has the same.
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
