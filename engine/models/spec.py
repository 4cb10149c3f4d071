"""Labels and preprocessing as a ``model.toml`` describes them."""

from pathlib import Path

from engine.models import versions
from engine.models.classifier import ModelSpec
from engine.models.errors import ModelUnavailableError
from engine.models.folder import (
    DESCRIPTION_FILE,
    TEXT,
    TORCHVISION,
    ModelFile,
    PreprocessingTable,
)
from engine.preprocessing import Preprocessing


def spec_of(folder: Path, described: ModelFile) -> ModelSpec:
    """Gather the labels, the preprocessing and the version of the network in *folder*."""
    labels = labels_of(folder, described)
    preprocessing = _preprocessing(described.preprocessing)
    return ModelSpec(
        labels=labels,
        preprocessing=preprocessing,
        version=versions.of_network(folder, described, labels, preprocessing),
        description=described.description,
        precision=described.computed_in,
        output=described.output or "logits",
        layout=described.layout,
    )


def labels_of(folder: Path, described: ModelFile) -> tuple[str, ...]:
    """Return the labels, in the order of the network's outputs.

    Raises:
        ModelUnavailableError: Their file cannot be read.
    """
    labels = described.labels or ()
    if not isinstance(labels, str):
        return labels
    if labels.startswith(TORCHVISION):
        from engine.models import torchvision_zoo  # noqa: PLC0415 (loads torch)

        named = labels.removeprefix(TORCHVISION)
        return torchvision_zoo.labels_of(torchvision_zoo.weights_by_name(named))
    try:
        lines = (folder / labels).read_text(encoding=TEXT).rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ModelUnavailableError(
            f"{labels}, the file of labels, cannot be read: {exc}; it has a label a line, in UTF-8"
        ) from exc
    return tuple(line.rstrip() for line in lines)


def _preprocessing(described: str | PreprocessingTable | None) -> Preprocessing:
    if isinstance(described, PreprocessingTable):
        return described.build()
    if described is None or not described.startswith(TORCHVISION):
        raise ModelUnavailableError(f"{DESCRIPTION_FILE}: preprocessing is {described!r}")
    from engine.models import torchvision_zoo  # noqa: PLC0415 (loads torch)

    named = described.removeprefix(TORCHVISION)
    return torchvision_zoo.preprocessing_of(torchvision_zoo.weights_by_name(named))
