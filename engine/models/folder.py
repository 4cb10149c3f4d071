"""A model in a folder of its own, described by its ``model.toml``: see docs/your-model.md."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from PIL.Image import Resampling
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.models.errors import ModelUnavailableError
from engine.models.output import Output
from engine.models.packaged import place_of
from engine.preprocessing import Preprocessing
from engine.runtimes.adapting import Layout
from engine.runtimes.precision import Precision

DESCRIPTION_FILE = "model.toml"
# Editors on Windows put a byte order mark at the beginning.
TEXT = "utf-8-sig"
# The prefix of names that torchvision defines.
TORCHVISION: Final = "torchvision:"

_CACHE: Final = "__pycache__"
_SAMPLES: Final = "samples"
_REPORTS: Final = ("report.md", "report.json")  # of quantizing
_DOCUMENTS: Final = ("README", "LICENSE", "LICENCE", "COPYING", "NOTICE", "CHANGELOG", "CITATION")

# The values in model.toml; bf16 is short for bfloat16.
WrittenPrecision = Literal["float32", "bf16", "bfloat16", "int8"]
# How a model is loaded: by its own code, from an ONNX file, or by torch.
Kind = Literal["predictor", "onnx", "torch"]
Side = Annotated[int, Field(ge=1, le=10_000)]


class PreprocessingTable(BaseModel):
    """The table ``[preprocessing]``."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["RGB", "L"] = "RGB"
    invert: bool = False
    resize: Side | tuple[Side, Side] | None = None
    crop: tuple[Side, Side] | None = None
    interpolation: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = (
        "bilinear"
    )
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def build(self) -> Preprocessing:
        fields = self.model_dump()
        return Preprocessing(**fields | {"interpolation": Resampling[self.interpolation.upper()]})


class ModelFile(BaseModel):
    """The contents of a ``model.toml``."""

    model_config = ConfigDict(extra="forbid")

    description: str = ""
    architecture: str | None = None
    weights: str | None = None
    program: str | None = None
    network: str | None = None
    precision: WrittenPrecision = "float32"
    output: Output | None = None
    layout: Layout = "NCHW"
    predictor: str | None = None
    labels: str | tuple[str, ...] | None = None
    preprocessing: str | PreprocessingTable | None = None
    measured: dict[str, Any] = {}

    @property
    def computed_in(self) -> Precision:
        return "bfloat16" if self.precision == "bf16" else self.precision

    @property
    def kind(self) -> Kind:
        if self.predictor is not None:
            return "predictor"
        return "torch" if self.network is None else "onnx"

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        if self.precision != "float32" and self.network is None:
            raise ValueError("precision belongs to a network")
        if self.layout != "NCHW" and self.network is None:
            raise ValueError("layout belongs to a network, an ONNX file")
        if self.predictor is not None:
            return self
        kinds = (self.program, self.network, self.architecture and self.weights)
        if sum(map(bool, kinds)) != 1:
            raise ValueError("needs architecture and weights, or program, network or predictor")
        if self.labels is None or self.preprocessing is None:
            raise ValueError("needs labels and preprocessing")
        return self


def read(folder: Path) -> ModelFile:
    """Read the ``model.toml`` in *folder*.

    Raises:
        ModelUnavailableError: It is missing or invalid.
    """
    try:
        return ModelFile.model_validate(
            tomllib.loads((folder / DESCRIPTION_FILE).read_text(encoding=TEXT))
        )
    except (tomllib.TOMLDecodeError, ValidationError, OSError, UnicodeDecodeError) as exc:
        raise ModelUnavailableError(f"{DESCRIPTION_FILE}: {_one_line(exc)}") from exc


def files_of(folder: Path, described: ModelFile) -> tuple[Path, ...]:
    """Return all files that may affect the answers of the model in *folder*, in a fixed order.

    Raises:
        ModelUnavailableError: A package that holds some of them is not installed.
    """
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    found = {folder / path for path in files if not _is_beside_the_point(path)}
    return tuple(sorted(found | files_named_by(folder, described)))


def files_named_by(folder: Path, described: ModelFile) -> set[Path]:
    """Return the files that ``model.toml`` names, whether or not they exist.

    Raises:
        ModelUnavailableError: One is in a package that is not installed.
    """
    named = {described.weights, described.program, described.network}
    if isinstance(described.labels, str) and not described.labels.startswith(TORCHVISION):
        named.add(described.labels)
    return {place_of(folder, name) for name in named if name}


def _is_beside_the_point(path: Path) -> bool:
    """Return whether *path* is a document, a sample, or a leftover of an editor or of Python."""
    if any(part == _CACHE or part.startswith(".") for part in path.parts):
        return True
    is_at_the_top = len(path.parts) == 1
    return (
        path.parts[0] == _SAMPLES
        or path.name.partition(".")[0].upper() in _DOCUMENTS
        or (is_at_the_top and path.name in _REPORTS)
    )


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
    return str(error)
