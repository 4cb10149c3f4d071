"""Where the files of a model lie, and whether its export was made of them."""

from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine.models.exports import Export, Exports, digests
from engine.models.folder import DESCRIPTION_FILE, files_of, read
from engine.models.packaged import is_in_missing_package


@dataclass(frozen=True, slots=True)
class Places:
    """Where models, weights and exports lie.

    Args:
        models: The folders of models.
        weights: Weights that were downloaded, and exports.
    """

    models: Path
    weights: Path

    @property
    def exports(self) -> Exports:
        return Exports(self.weights / "exports")

    def folder(self, name: str) -> Path | None:
        """Return the folder of the model *name*; None: it can only be torchvision's."""
        folder = self.models / name
        return folder if (folder / DESCRIPTION_FILE).is_file() else None

    def base(self, name: str) -> Path:
        """Return the folder from which the sources of *name* are named."""
        return self.folder(name) or self.weights

    def valid_export(self, name: str) -> Export | None:
        """Return the export of *name*, if it was made of the files that are there now."""
        export = self.exports.find(name)
        if export is None or not self._is_made_of_what_is_here(name, export):
            return None
        if export.file is not None and not self.exports.path(export.file).is_file():
            return None
        return export

    def _is_made_of_what_is_here(self, name: str, export: Export) -> bool:
        folder = self.folder(name)
        if folder is None and export.from_folder:
            # A folder that was removed serves no more. Where there is no torch, exports are
            # meant to travel alone.
            return find_spec("torch") is None
        if folder is None:
            # A download has a hash in its name: one that is not there would be the same again.
            files = [path for source in export.sources if (path := self.weights / source).exists()]
            return digests(files, base=self.weights).items() <= export.sources.items()
        with suppress(OSError):
            described, recorded = read(folder), dict(export.sources)
            if is_in_missing_package(described.weights or ""):
                # An export serves without the package that its weights came from.
                recorded.pop(described.weights or "", None)
                described = described.model_copy(update={"weights": None})
            return digests(files_of(folder, described), base=folder) == recorded
        return False
