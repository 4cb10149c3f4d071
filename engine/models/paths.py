"""Where the files of models lie."""

from dataclasses import dataclass
from pathlib import Path

from engine.models.folder import DESCRIPTION_FILE


@dataclass(frozen=True, slots=True)
class ModelPaths:
    """Where models, weights and exports lie.

    Args:
        models: The folders of models.
        weights: Weights that were downloaded, and exports.
    """

    models: Path
    weights: Path

    def folder(self, name: str) -> Path | None:
        """Return the folder of the model *name*; None: it can only be torchvision's."""
        folder = self.models / name
        return folder if (folder / DESCRIPTION_FILE).is_file() else None
