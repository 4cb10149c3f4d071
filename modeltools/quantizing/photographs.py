"""The photographs of a folder, with their labels where known."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Self

from engine.decoding.decode import UndecodableImageError, decode
from engine.preprocessing import Preprocessing
from engine.runtimes.network import Floats
from modeltools.quantizing.errors import CannotQuantizeError

LABELS_FILE: Final = "labels.csv"


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file, and its label if known."""

    path: Path
    label: str | None


@dataclass(frozen=True, slots=True)
class Photographs:
    """The photographs of one folder.

    Args:
        files: In a fixed order.
        preprocessing: The preprocessing of the model.
        max_pixels: Larger ones are skipped.
        skipped: Those that could not be read, with the reason; complete once all were read.
    """

    files: Sequence[Photograph]
    preprocessing: Preprocessing
    max_pixels: int
    skipped: dict[str, str] = field(default_factory=dict)

    @classmethod
    def in_folder(
        cls,
        folder: Path,
        *,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        max_pixels: int,
    ) -> Self:
        """Find the files of *folder*: flat, in subfolders named after labels, or with labels.csv.

        Raises:
            CannotQuantizeError: There are none, or one has a label that is not in *labels*.
        """
        if not folder.is_dir():
            raise CannotQuantizeError(f"{folder} is not a folder")
        known = _labels_in(folder / LABELS_FILE)
        files = [Photograph(path, _label(path, folder, known)) for path in _files_in(folder)]
        if not files:
            raise CannotQuantizeError(f"{folder} has no files; put photographs there")
        unknown = sorted({one.label for one in files if one.label} - set(labels))
        if unknown:
            raise CannotQuantizeError(
                f"{folder}: {unknown[0]!r} is no label of the model (and {len(unknown) - 1} more "
                f"are none); sub-folders and {LABELS_FILE} must name them as the model does: "
                f"{', '.join(labels[:5])}, ..."
            )
        return cls(files, preprocessing, max_pixels)

    def tensors(self) -> Iterator[tuple[Photograph, Floats]]:
        """Read one after the other, as input tensors of shape (1, channels, height, width)."""
        for photograph in self.files:
            try:
                image = decode(photograph.path.read_bytes(), max_pixels=self.max_pixels)
                yield photograph, self.preprocessing.batch([image])
            except (UndecodableImageError, OSError, ValueError) as exc:
                self.skipped[str(photograph.path)] = str(exc)

    def tensors_of(self, most: int) -> list[Floats]:
        """Read the first *most* that can be read."""
        return [images for _, images in islice(self.tensors(), most)]

    def sample(self, most: int) -> "Photographs":
        """Return at most *most* of them, taken evenly from all."""
        step = max(1, -(-len(self.files) // most))
        return Photographs(self.files[::step], self.preprocessing, self.max_pixels)


def _files_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not is_hidden and path != folder / LABELS_FILE:
            yield path


def _label(path: Path, folder: Path, known: Mapping[str, str]) -> str | None:
    relative = path.relative_to(folder)
    if relative.as_posix() in known:
        return known[relative.as_posix()]
    return relative.parts[0] if len(relative.parts) > 1 else None


def _labels_in(file: Path) -> Mapping[str, str]:
    """Read lines of file and label; there may be no such file."""
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines) if row]
    wrong = next((row for row in rows if len(row) != len(("file", "label"))), None)
    if wrong is not None:
        raise CannotQuantizeError(f"{file}: not a file and a label: {','.join(wrong)}")
    return dict(rows)
