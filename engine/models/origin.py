"""Where a model comes from: a folder, or torchvision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.models.folder import Kind, ModelFile, read
from engine.models.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the name of a model stands for.

    Args:
        name: Of the model.
        places: Where models, weights and exports lie.
        folder: Its folder; None: there is none, and the name can only be torchvision's.
        described: What the ``model.toml`` in the folder says; None with the folder.
    """

    name: str
    places: Places
    folder: Path | None
    described: ModelFile | None

    @classmethod
    def find(cls, name: str, places: Places) -> Self:
        """Look for the folder of the model *name*, and read its ``model.toml``.

        Raises:
            ModelUnavailableError: The ``model.toml`` is wrong.
        """
        folder = places.folder(name)
        described = None if folder is None else read(folder)
        return cls(name=name, places=places, folder=folder, described=described)

    @property
    def needed_folder(self) -> tuple[Path, ModelFile]:
        """The folder and what its ``model.toml`` says, for a kind that has both."""
        if self.folder is None or self.described is None:
            raise ValueError(f"{self.name} has no folder")
        return self.folder, self.described

    @property
    def kind(self) -> Kind:
        return "torch" if self.described is None else self.described.kind
