"""The version of a model: a digest of all that decides its answers, and of nothing else.

Paths of this machine and times do not count, so that the same files have the same version on any
machine. A setting that ``model.toml`` leaves out counts like its default, so that new settings in
later versions of Darkroom change no version.
"""

import dataclasses
import hashlib
import json
import mmap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engine.models.digests import sha256_of, version_of
from engine.models.folder import (
    DESCRIPTION_FILE,
    TORCHVISION,
    ModelFile,
    files_named_by,
    files_of,
)
from engine.models.packaged import name_of, place_of
from engine.preprocessing import Preprocessing

# Left out: texts for people, and files, which count by their contents.
_NOT_COUNTED: Final = {
    "description",
    "measured",
    "labels",
    "preprocessing",
    "weights",
    "program",
    "network",
}


def of_network(
    folder: Path, described: ModelFile, labels: tuple[str, ...], preprocessing: Preprocessing
) -> str:
    """Return the version of a network in *folder*, with its labels and its preprocessing.

    Raises:
        OSError: One of its files cannot be read.
    """
    return _version(
        _files_of_network(folder, described),
        {
            **_settings(described),
            "labels": labels,
            "preprocessing": _without_defaults(preprocessing),
        },
    )


def of_predictor(folder: Path, described: ModelFile) -> str:
    """Return the version of a predictor, which may read any file in its folder.

    Raises:
        OSError: One of its files cannot be read.
    """
    return _version(_files_beside(folder, described), _settings(described))


def _version(files: Iterable[tuple[str, Path]], settings: Mapping[str, Any]) -> str:
    deciding = {"files": {name: sha256_of(file) for name, file in files}, **settings}
    text = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
    return version_of(hashlib.sha256(text.encode()).hexdigest())


def _settings(described: ModelFile) -> Mapping[str, Any]:
    settings = described.model_dump(exclude=_NOT_COUNTED, exclude_defaults=True)
    if settings.get("output") == "logits":  # the default
        del settings["output"]
    return settings


def _without_defaults(preprocessing: Preprocessing) -> Mapping[str, Any]:
    fields = dataclasses.fields(Preprocessing)
    values = ((field, getattr(preprocessing, field.name)) for field in fields)
    return {field.name: value for field, value in values if value != field.default}


def _files_of_network(folder: Path, described: ModelFile) -> Iterable[tuple[str, Path]]:
    named = described.program or described.network or described.weights or ""
    weights = place_of(folder, named)
    yield "weights", weights
    # Files that count by their contents may lie anywhere and have any name.
    counted = {weights, *files_named_by(folder, described)}
    others = [
        (name, file) for name, file in _files_beside(folder, described) if file not in counted
    ]
    if described.network is not None:
        yield from _named_in(weights, others)
    if described.architecture and not described.architecture.startswith(TORCHVISION):
        yield from others


def _files_beside(folder: Path, described: ModelFile) -> list[tuple[str, Path]]:
    """Return all files but ``model.toml``, by their paths from the folder."""
    files = files_of(folder, described)
    named = [(name_of(file, folder), file) for file in files]
    return [(name, file) for name, file in named if name != DESCRIPTION_FILE]


def _named_in(network: Path, others: Sequence[tuple[str, Path]]) -> Iterable[tuple[str, Path]]:
    """Yield the files whose names occur in an ONNX file: it names the files of external weights.

    Source: https://onnx.ai/onnx/repo-docs/ExternalData.html. A search for the names
    needs no parser of the format, and a name that occurs by chance does no harm.
    """
    if not others or network.stat().st_size == 0:
        return
    with (
        network.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as held,
    ):
        for name, file in others:
            if held.find(file.name.encode(errors="surrogateescape")) >= 0:
                yield name, file
