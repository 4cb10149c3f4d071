"""What the parent and its engine say to each other. No torch here: the parent has none."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from common.jobs import Failure, JobId, Prediction
from common.settings.consumer import Runtime
from common.workers import ServedModel
from engine.runtimes.computing import Computing

# The exit status of an engine that was refused memory; that of an uncaught error is 1.
OUT_OF_MEMORY: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """All an engine is told when it starts.

    Args:
        threads: That it may compute with; with more than one, it decodes beside.
        lines: Over how many connections it is asked, one batch at a time over each.
    """

    models: tuple[str, ...]
    models_dir: Path
    weights_dir: Path
    threads: int
    lines: int
    runtime: Runtime
    max_image_pixels: int
    log_level: str
    log_format: Literal["console", "json"]
    decode_limit_s: float = 10.0
    dct_scaling: bool = False
    computing: Computing = field(default_factory=Computing)


@dataclass(frozen=True, slots=True)
class Started:
    """The engine's first word: there is a process, which is going to load its models."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine's second word: every model is loaded and warm, or unavailable."""

    models: tuple[ServedModel, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is in this image?"""

    job_id: JobId  # for the log
    image: bytes
    model: str
    top_k: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The most probable labels, and how long decoding, preprocessing and model took.

    The model's part is that of the whole batch.
    """

    predictions: tuple[Prediction, ...]
    model_version: str
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer, and never will be: asking again cannot help."""

    reason: Failure


Reply = Answer | Refusal
