"""The folder of a quantized model: written under another name, and renamed when complete."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from PIL.Image import Resampling

from engine.models.classifier import ModelSpec
from engine.models.folder import DESCRIPTION_FILE, PreprocessingTable, WrittenPrecision
from engine.preprocessing import Preprocessing
from modeltools.quantizing.errors import CannotQuantizeError
from modeltools.quantizing.report import Report

NETWORK_FILE: Final = "network.onnx"
_LABELS_FILE: Final = "labels.txt"
_FOLDER_MODE: Final = 0o755


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """Create a folder beside *target*, and delete it afterwards unless it was renamed.

    Raises:
        CannotQuantizeError: *target* exists, or its parent cannot be written to.
    """
    if target.exists():
        raise CannotQuantizeError(f"{target} already exists; delete or rename it first")
    try:
        draft = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as exc:
        raise CannotQuantizeError(f"cannot write to {target.parent}: {exc}") from exc
    try:
        draft.chmod(_FOLDER_MODE)  # consumers may run as another user
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def describe(draft: Path, source: str, spec: ModelSpec, precision: WrittenPrecision) -> None:
    """Write ``model.toml`` and the labels beside the network."""
    (draft / _LABELS_FILE).write_text("\n".join(spec.labels) + "\n", encoding="utf-8")
    described = {
        "description": f"{spec.description or source}, in {precision}",
        "network": NETWORK_FILE,
        "precision": precision,
        "labels": _LABELS_FILE,
        "output": spec.output,
    }
    lines = [*_lines(described), "", "[preprocessing]", *_lines(_spelled_out(spec.preprocessing))]
    (draft / DESCRIPTION_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def add_report(draft: Path, report: Report) -> None:
    """Write the measurements to the report and to ``model.toml``."""
    measured = {
        "source": report.source,
        "photographs": report.photographs,
        "top_1_agreement": round(report.top_1_agreement, 4),
        "top_5_agreement": round(report.top_5_agreement, 4),
        "runtime": report.after.runtime,
        "images_per_s": round(report.after.images_per_s, 1),
        "float32_images_per_s": round(report.before.images_per_s, 1),
    }
    if report.after.accuracy and report.before.accuracy:
        measured["accuracy"] = round(report.after.accuracy.top_1, 4)
        measured["float32_accuracy"] = round(report.before.accuracy.top_1, 4)
    with (draft / DESCRIPTION_FILE).open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[measured]", *_lines(measured)]) + "\n")
    write_report(draft, "report", report)


def write_report(folder: Path, name: str, report: Report) -> Path:
    """Write *report* for programs and for people; return the file for people."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(report.model_dump_json(indent=1) + "\n")
    file = folder / f"{name}.md"
    file.write_text(report.as_markdown(), encoding="utf-8")
    return file


def install(draft: Path, target: Path) -> None:
    """Rename *draft* to *target*.

    Raises:
        CannotQuantizeError: *target* exists by now.
    """
    try:
        draft.rename(target)
    except OSError as exc:
        raise CannotQuantizeError(f"{target} already exists: {exc.strerror}") from exc


def _spelled_out(preprocessing: Preprocessing) -> Mapping[str, Any]:
    values = {name: getattr(preprocessing, name) for name in PreprocessingTable.model_fields}
    values["interpolation"] = Resampling(preprocessing.interpolation).name.lower()
    return {name: value for name, value in values.items() if value is not None}


def _lines(table: Mapping[str, Any]) -> list[str]:
    """Format a value as TOML: like JSON for strings, numbers, booleans and lists of them."""
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
