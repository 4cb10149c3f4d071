"""What two roles read, so that they agree on it."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_settings import NoDecode

from common.settings.base import GivenPath, RoleSettings, says, split_at_commas

# One has its batch in the engine while the other saves its last one and fetches the next.
LANES_PER_ENGINE: Final = 2

# A name is also that of a folder below `DARKROOM_MODELS_DIR`, and must not lead out of it.
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
ModelNames = Annotated[
    tuple[ModelName, ...], NoDecode, Field(min_length=1), BeforeValidator(split_at_commas)
]


class ServingSettings(RoleSettings):
    """What the API promises and the consumers keep."""

    models: ModelNames = Field(
        ("photos", "digits"),
        description="which models to serve: folders or torchvision names, comma-separated",
        json_schema_extra=says(
            "comma-separated names of letters, digits, . _ -, each beginning with a letter or digit"
        ),
    )
    models_dir: GivenPath = Field(
        Path("models"), description="the folder of models; relative to the code's folder"
    )
    max_image_pixels: int = Field(
        50_000_000, ge=1, le=1_000_000_000, description="the largest accepted image, in pixels"
    )


class WorkSettings(RoleSettings):
    """What the consumers do, and the courier judges them by."""

    max_attempts: int = Field(3, ge=1, le=100, description="claims before a job fails")
    job_time_limit_s: float = Field(
        60,
        gt=0,
        le=86_400,
        description="an engine that takes longer over one job, or one batch, is killed",
    )
    batch_size: int = Field(
        1, ge=1, le=256, description="the most images that an engine computes at once"
    )
    pulse_file: GivenPath | None = Field(
        None,
        description="a file that consumer and courier touch every second while they work; "
        "unset: none",
    )
