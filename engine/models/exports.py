"""Exports of models, each with all that is needed to serve it without torch."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.models.classifier import ModelSpec
from engine.models.digests import sha256_of
from engine.models.folder import ModelFile, files_of
from engine.models.origin import Origin
from engine.models.packaged import is_in_missing_package, name_of


class Export(BaseModel):
    """The record of an export, or of why there is none.

    Args:
        format: The version of this record; records of other versions are ignored.
        spec: Labels, preprocessing, version and description.
        sources: The SHA-256 of every file that the model was made of, by path.
        torchvision: The version of torchvision at the time of the export.
        file: The network; None: only torch can serve it.
        reason: Why only torch can serve it.
        largest_difference: The largest difference to torch's logits, in standard deviations.
        remark: What was changed in the weights, for people.
        from_folder: Whether a folder of that name was exported rather than torchvision's model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal[3] = 3
    spec: ModelSpec = Field(alias="kit")  # the name in records of earlier versions
    sources: Mapping[str, str]
    torchvision: str
    file: str | None
    reason: str = ""
    largest_difference: float | None = None
    remark: str = ""
    from_folder: bool = False


@dataclass(frozen=True, slots=True)
class Exports:
    """The exports in one folder, which may be on a volume that many consumers share.

    Args:
        folder: Where they lie.
    """

    folder: Path

    @classmethod
    def below(cls, weights: Path) -> Self:
        """Return the exports in the folder *weights*, where downloads are, too."""
        return cls(weights / "exports")

    def find(self, origin: Origin) -> Export | None:
        """Return the export of a model, if it was made from the files that are there now."""
        export = self.recorded(origin.name)
        if export is None or not _is_made_of_what_is_here(export, origin):
            return None
        if export.file is not None and not self.path(export.file).is_file():
            return None
        return export

    def recorded(self, name: str) -> Export | None:
        """Return the record for *name*, if it was made with the torchvision that is installed."""
        with suppress(OSError, ValidationError):
            export = Export.model_validate_json(self._record(name).read_bytes())
            if export.torchvision == (installed_torchvision() or export.torchvision):
                return export
        return None

    def put(self, name: str, export: Export) -> None:
        """Write the record of an export, whose file must exist."""
        draft = self._record(name).with_suffix(".draft")
        draft.write_text(export.model_dump_json(indent=1, by_alias=True))
        draft.rename(self._record(name))  # so that nobody reads half of it

    def path(self, file: str) -> Path:
        """Return the path of a network."""
        return self.folder / file

    def lock_file(self, name: str) -> Path:
        """Return the file that a process locks while it exports *name*."""
        return self.folder / f"{name}.lock"

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def _is_made_of_what_is_here(export: Export, origin: Origin) -> bool:
    folder, described, weights = origin.folder, origin.described, origin.paths.weights
    if folder is not None and described is not None:
        return _sources_in(folder, described) == _recorded_sources(described, export)
    if export.from_folder:
        # The export of a removed folder is used only where there is no torch: such machines get
        # exports without folders.
        return find_spec("torch") is None
    # A download has a hash in its name, so a missing one would be the same again.
    files = [path for source in export.sources if (path := weights / source).exists()]
    return digests(files, base=weights).items() <= export.sources.items()


def _sources_in(folder: Path, described: ModelFile) -> Mapping[str, str] | None:
    """Return the digests of what the model would be made from now; None if something is missing."""
    if is_in_missing_package(described.weights or ""):
        described = described.model_copy(update={"weights": None})
    with suppress(OSError):
        return digests(files_of(folder, described), base=folder)
    return None


def _recorded_sources(described: ModelFile, export: Export) -> Mapping[str, str]:
    """Return the recorded digests, without that of weights whose package is not installed here."""
    weights = described.weights or ""
    if not is_in_missing_package(weights):
        return export.sources
    return {name: digest for name, digest in export.sources.items() if name != weights}


def digests(files: Iterable[Path], *, base: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, by its path from *base*.

    Raises:
        OSError: A file is missing.
    """
    return {name_of(file, base): sha256_of(file) for file in files}


def installed_torchvision() -> str | None:
    """Return the version that is installed; None if there is none."""
    with suppress(PackageNotFoundError):
        return version("torchvision")
    return None
