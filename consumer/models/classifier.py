"""A network of torch with its labels and its preprocessing."""

from collections.abc import Sequence
from dataclasses import dataclass

import PIL.Image
import torch
from torch import Tensor

from common.jobs import Prediction
from consumer.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchClassifier:
    """Weights, labels and preprocessing that were made for each other."""

    network: torch.nn.Module
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    version: str
    description: str = ""

    @property
    def label_count(self) -> int:
        return len(self.labels)

    def predict(
        self, images: Sequence[PIL.Image.Image], *, top_k: int
    ) -> list[tuple[Prediction, ...]]:
        """Name the *top_k* most probable labels of each image, the most probable first."""
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(self.preprocessing.batch(images)))
        return [top_k_predictions(row, self.labels, top_k) for row in logits]


def top_k_predictions(logits: Tensor, labels: Sequence[str], k: int) -> tuple[Prediction, ...]:
    """Name the *k* most probable labels, the most probable first.

    Args:
        logits: Raw output of the network for one image, shape ``(len(labels),)``.
        labels: In the order that the weights were trained with.
        k: How many to return, at least 1; all, if there are fewer.

    Returns:
        Predictions whose probabilities are the softmax over *all* labels, so they sum to
        less than one when ``k < len(labels)``.

    Raises:
        ValueError: The logits and the labels disagree on the number of classes.
    """
    if logits.shape != (len(labels),):
        raise ValueError(f"expected logits of shape ({len(labels)},), got {tuple(logits.shape)}")
    probabilities, indices = torch.softmax(logits.float(), dim=0).topk(min(k, len(labels)))
    return tuple(
        Prediction(labels[index], probability)
        for index, probability in zip(indices.tolist(), probabilities.tolist(), strict=True)
    )
