"""A network with its labels and its preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image

from common.jobs import Prediction
from engine.models.errors import NotFiniteError
from engine.models.output import Output, probabilities_of
from engine.preprocessing import Preprocessing
from engine.runtimes.adapting import Layout
from engine.runtimes.network import Floats, Network
from engine.runtimes.precision import Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What belongs to the weights of a network, whatever computes it."""

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    version: str
    description: str = ""
    precision: Precision = "float32"
    output: Output = "logits"
    layout: Layout = "NCHW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A network with the labels and the preprocessing that it was trained with.

    Args:
        network: Computes the logits.
        spec: Labels, preprocessing and so on.
        remark: What differs from what was asked for, or is not exact.
    """

    network: Network
    spec: ModelSpec
    remark: str = ""

    @property
    def version(self) -> str:
        return self.spec.version

    @property
    def label_count(self) -> int:
        return len(self.spec.labels)

    @property
    def description(self) -> str:
        return self.spec.description

    @property
    def precision(self) -> Precision:
        return self.network.precision

    @property
    def runtime(self) -> str:
        return self.network.runtime

    @property
    def enough_px(self) -> int:
        return self.spec.preprocessing.enough_px

    def prepare(self, image: PIL.Image.Image) -> Floats:
        """Return the input tensor of one image, shape (channels, height, width)."""
        return self.spec.preprocessing.apply(image)

    def predict(self, prepared: Sequence[Floats], *, top_k: int) -> list[tuple[Prediction, ...]]:
        """Name the *top_k* most probable labels of each image, the most probable first."""
        batch = np.stack(prepared) if len(prepared) > 1 else prepared[0][np.newaxis]
        logits = self.network(batch)
        output = self.spec.output
        return [top_k_predictions(row, self.spec.labels, top_k, output=output) for row in logits]


def top_k_predictions(
    logits: Floats, labels: Sequence[str], k: int, *, output: Output = "logits"
) -> tuple[Prediction, ...]:
    """Name the *k* most probable labels, the most probable first.

    Args:
        logits: Raw output of the network for one image, shape ``(len(labels),)``.
        labels: In the order that the weights were trained with.
        k: How many to return, at least 1; all, if there are fewer.
        output: Whether the numbers are logits, probabilities or independent logits (sigmoid).

    Returns:
        Predictions with probabilities over *all* labels: the softmax, unless *output* says
        otherwise. So they sum to less than one when ``k < len(labels)``.

    Raises:
        ValueError: The logits and the labels disagree on the number of classes.
        NotFiniteError: Some logit is NaN or infinite.
    """
    if logits.shape != (len(labels),):
        raise ValueError(f"expected logits of shape ({len(labels)},), got {logits.shape}")
    if not np.isfinite(logits).all():
        raise NotFiniteError("some of its logits are not finite numbers (NaN or infinite)")
    best = np.argsort(-logits, kind="stable")[:k]
    probabilities = probabilities_of(logits, output)
    return tuple(Prediction(labels[index], float(probabilities[index])) for index in best)
