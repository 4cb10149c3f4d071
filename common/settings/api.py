"""What the API reads."""

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator
from pydantic_settings import NoDecode

from common.settings.base import MOST_MIB, PREFIX, says, split_at_commas
from common.settings.shared import ServingSettings

# As browsers send it (RFC 6454): no path, no slash at the end. `*` is every origin.
Origin = Annotated[
    str, StringConstraints(pattern=r"^(\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)$", to_lower=True)
]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(split_at_commas)]


class ApiSettings(ServingSettings):
    """What the API needs to know about its surroundings."""

    default_model: str = Field(
        "", description="the model of a job that names none; empty: the first of `DARKROOM_MODELS`"
    )
    max_image_bytes: int = Field(
        10 * 1024**2, ge=1024, le=14 * 1024**2, description="the largest accepted image, in bytes"
    )
    max_wait_s: int = Field(
        20,
        ge=0,
        le=45,
        description="how long a request may wait for its job; at most `DARKROOM_GRACE_S` minus "
        "`DARKROOM_STORE_TIMEOUT_S`",
    )
    cors_origins: Origins = Field(
        (),
        description="web pages whose scripts may call the API: their origins, comma-separated, or "
        "`*` for all; empty: only the page that ships with the API",
        json_schema_extra=says("comma-separated origins such as https://example.com:8443, or *"),
    )
    max_stored_bytes: int = Field(
        0,
        ge=0,
        le=2**60,
        description="the largest size of all stored images and records; above it new images are "
        "refused until some expire or are deleted; in bytes, 0: no limit",
    )
    min_free_mb: int = Field(
        512,
        ge=0,
        le=MOST_MIB,
        description="new images are refused while a disk has less free space; in MiB, 0: never",
    )
    disks: str = Field(
        "",
        description="folders on the disks that must have `DARKROOM_MIN_FREE_MB` free, separated by "
        "`:`; empty: the disk that MongoDB reports; with `./start.sh`: those of the state",
    )
    publish_timeout_s: float = Field(
        0.5, gt=0, le=10, description="how long a request waits for RabbitMQ's confirm"
    )

    @model_validator(mode="after")
    def _default_is_served(self) -> Self:
        if self.default_model and self.default_model not in self.models:
            raise ValueError(
                f"{PREFIX}DEFAULT_MODEL={self.default_model!r} is invalid: "
                f"expected one of {PREFIX}MODELS ({', '.join(self.models)})"
            )
        return self

    @property
    def disk_folders(self) -> tuple[Path, ...]:
        """The folders in ``disks``."""
        return tuple(Path(folder) for folder in self.disks.split(os.pathsep) if folder)

    @property
    def model(self) -> str:
        """The model of a job that names none."""
        return self.default_model or self.models[0]

    @property
    def longest_wait_s(self) -> int:
        """How long a request waits at most: the API that stops still has time to answer it."""
        return max(0, min(self.max_wait_s, int(self.grace_s - self.store_timeout_s)))

    @property
    def max_body_bytes(self) -> int:
        """The largest request body: the largest image as base64, and room for the fields."""
        return -(-self.max_image_bytes * 4 // 3) + 64 * 1024

    @property
    def clipped(self) -> list[str]:
        reason = f"{PREFIX}GRACE_S minus {PREFIX}STORE_TIMEOUT_S allows no more"
        return [*super().clipped, *self._clipped("max_wait_s", self.longest_wait_s, reason)]
