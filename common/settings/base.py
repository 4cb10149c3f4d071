"""What all roles read, and what the classes of the roles are made with."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AmqpDsn,
    BeforeValidator,
    Field,
    MongoDsn,
    SecretStr,
    TypeAdapter,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "DARKROOM_"
MOST_MIB: Final = 16 * 1024**2


def says(expected: str) -> dict[str, Any]:
    """Say in words which values a setting takes; messages put it after "expected"."""
    return {"expected": expected}


def split_at_commas(value: object) -> object:
    """Return the parts of a text, each once, in their order."""
    if isinstance(value, str):
        return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    return value


def _is_url_of(kind: type[AmqpDsn | MongoDsn]) -> AfterValidator:
    adapter: TypeAdapter[AmqpDsn | MongoDsn] = TypeAdapter(kind)

    def check(value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        adapter.validate_python(url)
        # An @ in a password must be written as %40; the drivers disagree on what it means.
        if url.partition("?")[0].count("@") > 1:
            raise ValueError("more than one @")
        return value

    return AfterValidator(check)


def _is_given(value: object) -> object:
    if value == "":  # Path("") would be the code's own folder
        raise ValueError("is empty")
    return value


GivenPath = Annotated[Path, BeforeValidator(_is_given)]


class RoleSettings(BaseSettings):
    """What every role needs to know about its surroundings.

    Durations and sizes carry their unit in the name. Secrets stay out of ``repr``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    amqp_url: Annotated[SecretStr, _is_url_of(AmqpDsn)] = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        description="the AMQP URL of RabbitMQ",
        json_schema_extra=says("amqp[s]://user:password@host:port/vhost, percent-encoded"),
    )
    mongo_url: Annotated[SecretStr, _is_url_of(MongoDsn)] = Field(
        SecretStr("mongodb://127.0.0.1:27017"),
        description="the connection string of MongoDB",
        json_schema_extra=says("mongodb[+srv]://user:password@host:port/..., percent-encoded"),
    )
    mongo_database: str = Field(
        "darkroom",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="the database that holds the collections",
    )
    grace_s: float = Field(
        25, gt=0, le=3600, description="how long a stopping role may take to finish its work"
    )
    lease_s: float = Field(
        15, ge=1, le=3600, description="a worker whose last heartbeat is older is treated as dead"
    )
    publish_after_s: float = Field(
        5, gt=0, le=3600, description="the courier publishes jobs that stayed unpublished this long"
    )
    store_timeout_s: float = Field(
        3, gt=0, le=60, description="how long one call to MongoDB may take"
    )
    amqp_heartbeat_s: int = Field(
        10,
        ge=2,
        le=600,
        description="RabbitMQ connections silent for twice this long are dropped",
    )
    log_format: Literal["console", "json"] = Field("console", description="format of the log lines")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the lowest level that is logged"
    )

    @property
    def clipped(self) -> list[str]:
        """Return a line for each value that is too large, with the value that is used instead."""
        return []

    def _clipped(self, name: str, used: int, reason: str) -> list[str]:
        asked = getattr(self, name)
        if asked <= used:
            return []
        variable = f"{PREFIX}{name.upper()}"
        return [f"{variable}={asked} is too large: using {used}, because {reason}"]
