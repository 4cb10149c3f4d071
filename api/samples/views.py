"""Sample images: those in the folder ``samples`` of each served model."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, jsonify, send_from_directory

_FOLDER: Final = "samples"
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})
_MOST: Final = 12  # of a model; the page shows all of them at once


def create_samples(models_dir: Path, models: Sequence[str]) -> Blueprint:
    """Make the views of samples.

    Args:
        models_dir: The folders of models; a missing one has no samples.
        models: The names of the served models.
    """
    samples = Blueprint("samples", __name__, url_prefix="/samples")
    # They ship with the models, so they do not change while this process runs.
    names = {model: _names_in(models_dir / model / _FOLDER) for model in models}

    @samples.get("")
    def index() -> Response:
        """List the paths of all samples, by model."""
        return jsonify(_paths(samples.url_prefix or "", names))

    @samples.get("/<model>/<name>")
    def show(model: str, name: str) -> Response:
        """Send one sample."""
        if name not in names.get(model, ()):
            abort(HTTPStatus.NOT_FOUND)
        return send_from_directory(models_dir.absolute() / model / _FOLDER, name)

    return samples


def _paths(prefix: str, names: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {model: [f"{prefix}/{model}/{name}" for name in found] for model, found in names.items()}


def _names_in(folder: Path) -> Sequence[str]:
    try:
        names = [path.name for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
    except OSError:  # most models have none
        return ()
    return sorted(names)[:_MOST]
