"""How often two networks give the same label, and how often each is right."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from engine.runtimes.network import Floats, Network
from modeltools.quantizing.photographs import Photographs
from modeltools.quantizing.progress import progress_of

TOP: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How often the right label is the best one (top-1), and among the best five (top-5)."""

    top_1: float
    top_5: float


@dataclass(slots=True)
class Comparison:
    """The answers of two networks to the same photographs.

    Args:
        labels: Of both, in the order of the logits.
        known: The label of each photograph, None where it is unknown.
        before: The best five labels of each photograph by the first network, as indices; empty
            where its logits are not finite, which counts as no agreement.
        after: The same by the second.
    """

    labels: Sequence[str]
    known: list[str | None] = field(default_factory=list)
    before: list[list[int]] = field(default_factory=list)
    after: list[list[int]] = field(default_factory=list)

    @property
    def top_1_agreement(self) -> float:
        """The share of photographs with the same best label."""
        return float(np.mean([bool(a) and a[:1] == b[:1] for a, b in self._pairs()]))

    @property
    def top_5_agreement(self) -> float:
        """The share of the first network's best five labels that are among the second's."""
        return float(np.mean([_shared(a, b) for a, b in self._pairs()]))

    @property
    def labelled(self) -> int:
        """How many photographs have a known label."""
        return sum(label is not None for label in self.known)

    def accuracy_before(self) -> Accuracy | None:
        """Return how often the first network is right; None if no label is known."""
        return self._accuracy(self.before)

    def accuracy_after(self) -> Accuracy | None:
        """Return how often the second network is right; None if no label is known."""
        return self._accuracy(self.after)

    def _pairs(self) -> Sequence[tuple[list[int], list[int]]]:
        return list(zip(self.before, self.after, strict=True))

    def _accuracy(self, best: Sequence[Sequence[int]]) -> Accuracy | None:
        # Compared as text: ImageNet has two labels twice.
        answers = [
            (label, [self.labels[index] for index in indices])
            for label, indices in zip(self.known, best, strict=True)
            if label is not None
        ]
        if not answers:
            return None
        return Accuracy(
            top_1=float(np.mean([told[:1] == [label] for label, told in answers])),
            top_5=float(np.mean([label in told for label, told in answers])),
        )


def compare(
    before: Network, after: Network, photographs: Photographs, labels: Sequence[str]
) -> Comparison:
    """Ask both about every photograph that can be read."""
    seen = Comparison(labels)
    for photograph, images in progress_of(
        "comparing", photographs.tensors(), len(photographs.files)
    ):
        seen.known.append(photograph.label)
        seen.before.append(_best(before(images)))
        seen.after.append(_best(after(images)))
    return seen


def _shared(one: Sequence[int], other: Sequence[int]) -> float:
    return len(set(one) & set(other)) / len(one) if one else 0.0


def _best(logits: Floats) -> list[int]:
    if not np.isfinite(logits).all():
        return []
    indices: list[int] = np.argsort(-logits[0], kind="stable")[:TOP].tolist()
    return indices
