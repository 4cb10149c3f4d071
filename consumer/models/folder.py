"""A model in a folder of its own, described by its ``model.toml``: see models/README.md."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from PIL.Image import Resampling
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from consumer.models.errors import ModelUnavailableError
from consumer.models.model import digest
from consumer.models.output import Output
from consumer.models.own_code.opening import code_of
from consumer.models.predictor import PredictorModel
from consumer.preprocessing import Preprocessing
from consumer.runtimes.adapting import Layout
from consumer.runtimes.network import Precision

DESCRIPTION_FILE = "model.toml"
# Editors on Windows put a mark at the beginning, which is no text.
TEXT = "utf-8-sig"

Side = Annotated[int, Field(ge=1, le=10_000)]


class PreprocessingTable(BaseModel):
    """``[preprocessing]``, spelled out."""

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
    """What a ``model.toml`` may say."""

    model_config = ConfigDict(extra="forbid")

    description: str = ""
    architecture: str | None = None
    weights: str | None = None
    program: str | None = None
    network: str | None = None
    precision: Precision = "float32"
    output: Output | None = None
    layout: Layout = "NCHW"
    predictor: str | None = None
    labels: str | tuple[str, ...] | None = None
    preprocessing: str | PreprocessingTable | None = None
    measured: dict[str, Any] = {}

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
    """Read what the ``model.toml`` in *folder* says.

    Raises:
        ModelUnavailableError: It is wrong, or missing.
    """
    try:
        return ModelFile.model_validate(
            tomllib.loads((folder / DESCRIPTION_FILE).read_text(encoding=TEXT))
        )
    except (tomllib.TOMLDecodeError, ValidationError, OSError, UnicodeDecodeError) as exc:
        raise ModelUnavailableError(f"{DESCRIPTION_FILE}: {_one_line(exc)}") from exc


def load_predictor(folder: Path, named: str, description: str) -> PredictorModel:
    """Load a class of the user's own."""
    with code_of(folder) as home:
        predictor = home.object_at(named)()
        predictor.load()
    return PredictorModel(
        predictor=predictor, version=digest(*files_of(folder)), description=description
    )


def files_of(folder: Path) -> tuple[Path, ...]:
    """Return all that belongs to the model in *folder*, in a fixed order."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(path for path in files if "__pycache__" not in path.parts))


def _one_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
    return str(error)
