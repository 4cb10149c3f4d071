"""What every runtime offers."""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
# What most of the arithmetic is done in.
Precision = Literal["float32", "half", "bfloat16", "int8"]


class Network(Protocol):
    """A network that is ready to compute."""

    @property
    def runtime(self) -> str:
        """What computes it, as ``DARKROOM_RUNTIME`` names it."""
        ...

    @property
    def precision(self) -> Precision:
        """What it does most of its arithmetic in."""
        ...

    def __call__(self, images: Floats) -> Floats:
        """Return the logits, shape (n, labels), of preprocessed images, shape (n, c, h, w)."""
        ...
