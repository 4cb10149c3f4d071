"""What a network's numbers mean, and the probabilities that follow from them."""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from engine.models.errors import ModelUnavailableError
from engine.runtimes.network import Floats

Probabilities = npt.NDArray[np.float64]
# logits: softmax is still to come. probabilities: it is in the network. sigmoid: each logit stands
# for its own label, and the probabilities do not sum to one.
Output = Literal["logits", "probabilities", "sigmoid"]

# What half precision and runtimes may round away.
_ROUNDING: Final = 1e-3


def probabilities_of(numbers: Floats, output: Output) -> Probabilities:
    """Make the probabilities of one image from what the network gave, shape ``(labels,)``.

    In double precision: probabilities shall not sum to more than one.

    Raises:
        ValueError: They are no probabilities, although ``output`` says so.
    """
    exact = numbers.astype(np.float64)
    if output == "sigmoid":
        # One of the two forms, so that no exponential overflows.
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
    """See on some images, shape ``(images, labels)``, that *output* can be what it is said to be.

    Args:
        numbers: What the network gave for the probe.
        output: As ``model.toml`` has it; None: it says nothing, and logits are expected.

    Raises:
        ModelUnavailableError: It cannot; the text says what to write instead.
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
