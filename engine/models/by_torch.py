"""Serve a network with torch, in the precision that the user chose."""

import math
from dataclasses import replace

from common.text import joined
from engine.models.classifier import Classifier
from engine.models.errors import ModelUnavailableError
from engine.models.pretrained import Pretrained
from engine.models.probe import probe
from engine.runtimes.computing import Computing
from engine.runtimes.equivalence import NotEquivalentError, difference, in_deviations
from engine.runtimes.network import Floats
from engine.runtimes.on_torch import NoSuchDeviceError, TorchNetwork


def served_by_torch(model: Pretrained, computing: Computing, *, remark: str = "") -> Classifier:
    """Serve *model* with torch; below float32, a remark says how large the difference is.

    Raises:
        ModelUnavailableError: There is no such device, or the network overflows in the precision.
    """
    try:
        exact = TorchNetwork(model.module, replace(computing, precision="float32", compiles=False))
    except NoSuchDeviceError as exc:
        raise ModelUnavailableError(str(exc)) from exc
    network, told = exact, exact.remark
    if computing.precision != "float32":
        network, told = _in_half_precision(model, computing, exact)
    elif computing.compiles:
        network, told = _compiled(model, computing, exact)
    return Classifier(network=network, spec=model.spec, remark=joined(model.remark, remark, told))


def _in_half_precision(
    model: Pretrained, computing: Computing, exact: TorchNetwork
) -> tuple[TorchNetwork, str]:
    images = probe(model.spec.preprocessing)
    expected = exact(images)  # before its parameters are converted
    network = TorchNetwork(model.module, computing, example=_example(model, images))
    largest = in_deviations(network(images), expected)
    precision = computing.precision
    if not math.isfinite(largest):
        raise ModelUnavailableError(f"DARKROOM_PRECISION is {precision}, in which it overflows")
    told = f"{precision}: largest logit difference {largest:.2g} of their deviation"
    return network, joined(network.remark, told)


def _compiled(
    model: Pretrained, computing: Computing, exact: TorchNetwork
) -> tuple[TorchNetwork, str]:
    images = probe(model.spec.preprocessing)
    network = TorchNetwork(model.module, computing, example=_example(model, images))
    try:
        difference(exact, network, images)
    except NotEquivalentError as exc:
        return exact, joined(exact.remark, f"not compiled: then {exc}")
    return network, network.remark


def _example(model: Pretrained, images: Floats) -> Floats | None:
    return images[:1] if model.spec.preprocessing.gives_one_size else None
