"""The request to quantize a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.settings.consumer import Runtime
from engine.models.paths import ModelPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizeRequest:
    """The request to quantize a model.

    Args:
        name: The model to quantize.
        to: The precision of the new model.
        calibrate: A folder of photographs to measure the ranges of activations with; int8 needs it.
        evaluate: A folder of photographs to compare the two models on.
        force: Whether to install it even if the agreement is too low.
        paths: Where models and exports are.
        reports: The folder for the report of a model that is not installed.
        runtime: The runtime to measure with.
        threads: The number of threads to measure with.
        max_pixels: Larger photographs are skipped.
    """

    name: str
    to: Literal["int8", "bf16"]
    calibrate: Path | None
    evaluate: Path
    force: bool
    paths: ModelPaths
    reports: Path
    runtime: Runtime
    threads: int
    max_pixels: int

    @property
    def target(self) -> Path:
        return self.paths.models / f"{self.name}-{self.to}"
