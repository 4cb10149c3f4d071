"""From the outputs of a network to probabilities."""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from engine.models.errors import ModelUnavailableError
from engine.runtimes.network import Floats

Probabilities = npt.NDArray[np.float64]
# logits: softmax is applied here. probabilities: the network applies it. sigmoid: each logit stands
# for its own label, and the probabilities do not sum to one.
Output = Literal["logits", "probabilities", "sigmoid"]

# The tolerance for rounding in half precision and in runtimes.
_ROUNDING: Final = 1e-3


def probabilities_of(numbers: Floats, output: Output) -> Probabilities:
    """Return the probabilities of one image from the outputs of the network, shape ``(labels,)``.

    They are computed in double precision, so that they do not sum to more than one.

    Raises:
        ValueError: They are not probabilities, although *output* says so.
    """
    exact = numbers.astype(np.float64)
    if output == "sigmoid":
        # Each of the two forms is used where its exponential cannot overflow.
        small = np.exp(-np.abs(exact))
        return np.where(exact >= 0, 1 / (1 + small), small / (1 + small))
    if output == "probabilities":
        if not _look_like_probabilities(exact[np.newaxis]):
            raise ValueError('its outputs are no probabilities, although output = "probabilities"')
        return exact.clip(0, 1)
    exponentials = np.exp(exact - exact.max())
    probabilities: Probabilities = exponentials / exponentials.sum()
    return probabilities


def check_output(numbers: Floats, output: Output | None) -> None:
    """Check the outputs of some images, shape ``(images, labels)``, against the declared *output*.

    Args:
        numbers: The outputs of the network for the probe.
        output: The value in ``model.toml``; None if it has none: then logits are expected.

    Raises:
        ModelUnavailableError: They contradict it; the text says what to write instead.
    """
    if output == "sigmoid" or not np.isfinite(numbers).all():
        return
    if numbers.shape[1] == 1:
        raise ModelUnavailableError(
            'model.toml: a network with one output for one label needs output = "sigmoid"'
        )
    is_probable = _look_like_probabilities(numbers)
    if output is None and is_probable:
        raise ModelUnavailableError(
            "model.toml: the outputs of the network look like probabilities already (softmax); "
            'set output = "probabilities", or output = "logits" if they are none'
        )
    if output == "probabilities" and not is_probable:
        raise ModelUnavailableError(
            'model.toml: output = "probabilities", but the outputs of the network do not sum to 1; '
            'set output = "logits", or "sigmoid" for independent labels'
        )


def _look_like_probabilities(numbers: npt.NDArray[np.floating]) -> bool:
    sums = numbers.sum(axis=1)
    within = numbers.min() >= -_ROUNDING and numbers.max() <= 1 + _ROUNDING
    return bool(within and np.abs(sums - 1).max() <= _ROUNDING)
