"""ONNX files with unusual inputs: one image at a time, channels last, or float16."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from engine.runtimes.equivalence import NotEquivalentError
from engine.runtimes.network import Floats, Network
from engine.runtimes.precision import Precision

Layout = Literal["NCHW", "NHWC"]

_DTYPES: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
# The input type tells the precision of these files.
_PRECISIONS: Final[Mapping[str, Precision]] = {"tensor(float16)": "half"}
_DIMENSIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Input:
    """The input of a network, as its file declares it.

    Args:
        shape: Numbers; a name or None where any number is allowed.
        kind: The type, as onnxruntime spells it, such as ``tensor(float)``.
    """

    shape: tuple[int | str | None, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class AdaptedNetwork:
    """Converts images to the form that a network expects.

    Args:
        network: The network.
        layout: ``NHWC`` if channels come last.
        kind: The type of its input.
        one_by_one: Whether it takes one image at a time.
    """

    network: Network
    layout: Layout
    kind: str
    one_by_one: bool

    @property
    def runtime(self) -> str:
        return self.network.runtime

    @property
    def precision(self) -> Precision:
        return _PRECISIONS.get(self.kind, self.network.precision)

    @property
    def remark(self) -> str:
        return "its batch is fixed: images are computed one by one" if self.one_by_one else ""

    def __call__(self, images: Floats) -> Floats:
        """Return the outputs, shape (n, labels), of images of shape (n, c, h, w)."""
        formed = images.transpose(0, 2, 3, 1) if self.layout == "NHWC" else images
        formed = np.ascontiguousarray(formed.astype(_DTYPES[self.kind], copy=False))
        if not self.one_by_one:
            return self._computed(formed)
        return np.concatenate([self._computed(formed[n : n + 1]) for n in range(len(formed))])

    def _computed(self, images: Floats) -> Floats:
        return self.network(images).astype(np.float32, copy=False)


def adapted(network: Network, wanted: Input, *, layout: Layout, channels: int) -> Network:
    """Return *network*, wrapped if it expects images in another form.

    Raises:
        NotEquivalentError: Its form is not supported; the text says what to do.
    """
    if wanted.kind not in _DTYPES:
        raise NotEquivalentError(
            f"its input is a {wanted.kind}; export it with an input of float or float16"
        )
    if layout == "NCHW" and _is_channels_last(wanted, channels):
        raise NotEquivalentError(
            f'its input has the shape {_shown(wanted)}, channels last: set layout = "NHWC"'
        )
    fixed = wanted.shape[0] if wanted.shape else None
    if isinstance(fixed, int) and fixed > 1:
        raise NotEquivalentError(
            f"its input has the shape {_shown(wanted)}; export it with a batch of 1, or a free one"
        )
    one_by_one = fixed == 1
    if layout == "NCHW" and wanted.kind == "tensor(float)" and not one_by_one:
        return network
    return AdaptedNetwork(network, layout, wanted.kind, one_by_one)


def _is_channels_last(wanted: Input, channels: int) -> bool:
    if len(wanted.shape) != _DIMENSIONS:
        return False
    return isinstance(wanted.shape[1], int) and wanted.shape[1] != channels == wanted.shape[3]


def _shown(wanted: Input) -> str:
    return "(" + ", ".join(str(one or "?") for one in wanted.shape) + ")"
