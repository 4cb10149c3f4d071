"""The interface of networks in any runtime."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from engine.runtimes.precision import Precision

Floats = npt.NDArray[np.float32]


class Network(Protocol):
    """A network that is ready to compute."""

    @property
    def runtime(self) -> str:
        """The runtime that computes it, as ``DARKROOM_RUNTIME`` names that."""
        ...

    @property
    def precision(self) -> Precision:
        """The type that most of its arithmetic uses."""
        ...

    def __call__(self, images: Floats) -> Floats:
        """Return the logits, shape (n, labels), of preprocessed images, shape (n, c, h, w)."""
        ...
