"""A network in a folder, with its weights, labels and preprocessing; needs torch."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from consumer.models import torchvision_zoo
from consumer.models.classifier import Kit
from consumer.models.errors import ModelUnavailableError
from consumer.models.folder import (
    DESCRIPTION_FILE,
    ModelFile,
    PreprocessingTable,
    files_of,
    object_at,
)
from consumer.models.model import digest
from consumer.models.pretrained import Pretrained
from consumer.preprocessing import Preprocessing

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
        kit=Kit(
            labels=_labels(folder, described.labels or ()),
            preprocessing=_preprocessing(described.preprocessing),
            version=digest(weights),
            description=described.description,
        ),
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


def _labels(folder: Path, labels: str | tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(labels, str):
        return labels
    if labels.startswith(_TORCHVISION):
        named = labels.removeprefix(_TORCHVISION)
        return torchvision_zoo.labels_of(torchvision_zoo.weights_by_name(named))
    return tuple((folder / labels).read_text(encoding="utf-8").splitlines())


def _preprocessing(described: str | PreprocessingTable | None) -> Preprocessing:
    if isinstance(described, PreprocessingTable):
        return described.build()
    if described is None or not described.startswith(_TORCHVISION):
        raise ModelUnavailableError(f"{DESCRIPTION_FILE}: preprocessing is {described!r}")
    named = described.removeprefix(_TORCHVISION)
    return torchvision_zoo.preprocessing_of(torchvision_zoo.weights_by_name(named))
