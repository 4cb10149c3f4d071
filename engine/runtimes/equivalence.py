"""Whether two runtimes compute the same results."""

from collections.abc import Callable
from typing import Final

import numpy as np

from common.errors import PermanentError
from engine.runtimes.network import Floats

# As a share of the standard deviation of all logits of the probe.
MOST_DIFFERENCE: Final = 1e-3
# For 8-bit networks, which each runtime rounds in its own way.
_MOST_ROUGHLY: Final = 0.2
_TOP: Final = 5


class NotEquivalentError(PermanentError):
    """A runtime cannot compute a network, or computes something else; the text is for people."""


def difference(
    reference: Callable[[Floats], Floats], other: Callable[[Floats], Floats], probe: Floats
) -> float:
    """Compare two networks on *probe*, all images at once and the first alone.

    Raises:
        NotEquivalentError: The most probable labels differ, or logits differ by too much or are not
            finite.
    """
    expected = reference(probe)
    if not np.isfinite(expected).all():
        raise NotEquivalentError("the logits to compare with are not finite numbers")
    scale = float(expected.std()) or 1.0
    largest = 0.0
    for images, wanted in ((probe, expected), (probe[:1], expected[:1])):
        logits = other(images)
        if logits.shape != wanted.shape:
            raise NotEquivalentError(f"its logits have the shape {logits.shape}")
        if not np.isfinite(logits).all():
            raise NotEquivalentError("some of its logits are not finite numbers (NaN or infinite)")
        if not np.array_equal(_best(logits), _best(wanted)):
            raise NotEquivalentError("its most probable labels are not those that are expected")
        largest = max(largest, float(np.abs(logits - wanted).max()) / scale)
    if not largest < MOST_DIFFERENCE:  # also refuses NaN
        raise NotEquivalentError(f"its logits are off by {largest:.2g} standard deviations")
    return largest


def in_deviations(logits: Floats, expected: Floats) -> float:
    """Return the largest difference of logits, in standard deviations of the expected ones."""
    return float(np.abs(logits - expected).max()) / (float(expected.std()) or 1.0)


def check_roughly(
    reference: Callable[[Floats], Floats], other: Callable[[Floats], Floats], probe: Floats
) -> None:
    """Compare two runtimes that compute the same network in 8 bits.

    Raises:
        NotEquivalentError: They differ by more than rounding explains.
    """
    expected, logits = reference(probe), other(probe)
    if logits.shape != expected.shape:
        raise NotEquivalentError(f"its logits have the shape {logits.shape}")
    off = float(np.sqrt(np.mean((logits - expected) ** 2)) / (expected.std() or 1.0))
    if not off < _MOST_ROUGHLY:
        raise NotEquivalentError(f"its logits are off by {off:.2g} standard deviations on average")


def _best(logits: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    return np.argsort(-logits, axis=1, kind="stable")[:, :_TOP]
