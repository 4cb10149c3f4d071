"""A network in a folder, with its weights, labels and preprocessing; needs torch."""

from pathlib import Path

import torch

from common.text import joined
from engine.models import torchvision_zoo
from engine.models.errors import ModelUnavailableError
from engine.models.folder import TORCHVISION, ModelFile, files_of
from engine.models.own_code.opening import code_of
from engine.models.packaged import place_of
from engine.models.pretrained import Pretrained
from engine.models.spec import labels_of, spec_of
from engine.models.states import read_state

_OF_IMAGENET = 1000


def load(folder: Path, described: ModelFile) -> Pretrained:
    """Load the network that *described* names in *folder*."""
    weights = place_of(folder, described.program or described.weights or "")
    if described.program is not None:
        network: torch.nn.Module = torch.export.load(weights).module()
        told = ""
    else:
        network, told = _network(folder, described, weights)
    return Pretrained(
        module=network.eval() if described.program is None else network,
        remark=told,
        spec=spec_of(folder, described),
        sources=files_of(folder, described),
    )


def _network(folder: Path, described: ModelFile, weights: Path) -> tuple[torch.nn.Module, str]:
    """Build the architecture and load its weights; also return what was changed in them."""
    architecture = described.architecture or ""
    if not architecture.startswith(TORCHVISION):
        with code_of(folder) as home:
            network: torch.nn.Module = home.object_at(architecture)()
        return network, _filled(network, weights)
    name = architecture.removeprefix(TORCHVISION)
    network = torchvision_zoo.architecture(name)
    classes = len(labels_of(folder, described))
    if classes == _OF_IMAGENET:
        return network, _filled(network, weights)
    network = torchvision_zoo.architecture(name, classes=classes)
    told = f"{name} with {classes} classes instead of {_OF_IMAGENET}"
    return network, joined(told, _filled(network, weights))


def _filled(network: torch.nn.Module, weights: Path) -> str:
    state, told = read_state(weights, network.state_dict())
    try:
        network.load_state_dict(state)
    except RuntimeError as exc:
        reason = str(exc).partition("\n\t")[2].strip() or str(exc)
        raise ModelUnavailableError(
            f"{weights.name} does not fit its architecture: {reason}"
        ) from exc
    return told
