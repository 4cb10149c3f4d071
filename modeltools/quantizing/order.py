"""What is asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.settings.consumer import Runtime
from engine.models.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for, and where.

    Args:
        name: The model to make it from.
        to: What the new one shall compute in.
        calibrate: A folder of photographs to take the ranges of numbers from; int8 needs it.
        evaluate: A folder of photographs to compare the two on.
        force: Install it even if it falls short.
        places: Where models lie, and exports.
        reports: Where the report of one lies that is not installed.
        runtime: What computes networks here.
        threads: How many compute one image.
        max_pixels: A larger photograph cannot be read.
    """

    name: str
    to: Literal["int8", "bf16"]
    calibrate: Path | None
    evaluate: Path
    force: bool
    places: Places
    reports: Path
    runtime: Runtime
    threads: int
    max_pixels: int

    @property
    def target(self) -> Path:
        return self.places.models / f"{self.name}-{self.to}"
