"""The exports that were made, each with all that its model needs: no torch is needed to use one."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.models.classifier import Kit
from engine.models.digests import sha256_of
from engine.models.packaged import name_of


class Export(BaseModel):
    """One model as it was exported, or why it was not.

    Args:
        format: Of this record; another one is as good as none.
        kit: Labels, preprocessing, version and description.
        sources: The SHA-256 of every file that the model was made of, by its path.
        torchvision: The version of torchvision that gave architecture, labels and the like.
        file: The network; None: torch serves it.
        reason: Why torch serves it.
        largest_difference: From torch's logits, in their standard deviations.
        remark: What was done to the weights, for people.
        from_folder: Whether a folder of that name was exported, and not torchvision's model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[3] = 3
    kit: Kit
    sources: Mapping[str, str]
    torchvision: str
    file: str | None
    reason: str = ""
    largest_difference: float | None = None
    remark: str = ""
    from_folder: bool = False


@dataclass(frozen=True, slots=True)
class Exports:
    """The exports below one folder, which may lie on a volume that many consumers share.

    Args:
        folder: Where they lie.
    """

    folder: Path

    def find(self, name: str) -> Export | None:
        """Return the export of the model *name*, if there is one of this torchvision's."""
        with suppress(OSError, ValidationError):
            export = Export.model_validate_json(self._record(name).read_bytes())
            if export.torchvision == (installed_torchvision() or export.torchvision):
                return export
        return None

    def put(self, name: str, export: Export) -> None:
        """Record an export, whose file is there already."""
        draft = self._record(name).with_suffix(".draft")
        draft.write_text(export.model_dump_json(indent=1))
        draft.rename(self._record(name))  # nobody reads half of it

    def path(self, file: str) -> Path:
        """Return where a network lies, or shall lie."""
        return self.folder / file

    def lock_file(self, name: str) -> Path:
        """Return the file that is locked by who exports *name*."""
        return self.folder / f"{name}.lock"

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def digests(files: Iterable[Path], *, base: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, by its path from *base*.

    Raises:
        OSError: One is not there.
    """
    return {name_of(file, base): sha256_of(file) for file in files}


def installed_torchvision() -> str | None:
    """Return the version that is installed; None: models come from their exports only."""
    with suppress(PackageNotFoundError):
        return version("torchvision")
    return None
