"""Where a model comes from: a folder, or torchvision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.models.folder import Kind, ModelFile, read
from engine.models.paths import ModelPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A model that was named: where it comes from, and its description.

    Args:
        name: Of the model.
        paths: Where models, weights and exports lie.
        folder: Its folder; None if there is none: then the name can only be torchvision's.
        described: The ``model.toml`` in the folder; None without a folder.
    """

    name: str
    paths: ModelPaths
    folder: Path | None
    described: ModelFile | None

    @classmethod
    def find(cls, name: str, paths: ModelPaths) -> Self:
        """Look for the folder of the model *name*, and read its ``model.toml``.

        Raises:
            ModelUnavailableError: The ``model.toml`` is invalid.
        """
        folder = paths.folder(name)
        described = None if folder is None else read(folder)
        return cls(name=name, paths=paths, folder=folder, described=described)

    @property
    def needed_folder(self) -> tuple[Path, ModelFile]:
        """The folder and its ``model.toml``, for models that have them."""
        if self.folder is None or self.described is None:
            raise ValueError(f"{self.name} has no folder")
        return self.folder, self.described

    @property
    def kind(self) -> Kind:
        return "torch" if self.described is None else self.described.kind
