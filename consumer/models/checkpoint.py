"""A network in a folder, with its weights, labels and preprocessing; needs torch."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from consumer.models import torchvision_zoo
from consumer.models.folder import ModelFile, files_of, object_at
from consumer.models.kits import kit_of
from consumer.models.pretrained import Pretrained

_TORCHVISION = "torchvision:"


def load(folder: Path, described: ModelFile) -> Pretrained:
    """Load what *described* says of the files in *folder*."""
    weights = folder / (described.program or described.weights or "")
    if described.program is not None:
        network: torch.nn.Module = torch.export.load(weights).module()
    else:
        network = _network(folder, described.architecture or "", weights).eval()
    return Pretrained(
        module=network,
        kit=kit_of(folder, described, weights=weights),
        sources=files_of(folder),
    )


def _network(folder: Path, architecture: str, weights: Path) -> torch.nn.Module:
    if architecture.startswith(_TORCHVISION):
        network = torchvision_zoo.architecture(architecture.removeprefix(_TORCHVISION))
    else:
        network = object_at(folder, architecture)()
    if weights.suffix == ".safetensors":
        state = load_file(weights)
    else:
        # weights_only: a pickle could run any code.
        state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return network
