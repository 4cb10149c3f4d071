"""Settings, read from the environment once, in the composition root."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AmqpDsn,
    Field,
    MongoDsn,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common.cores import available_cores
from common.memory import MEBIBYTE, total_bytes
from common.spelling import unknown_settings

PREFIX = "DARKROOM_"

_BAD_SETTING: Final = 2
_MOST_MIB: Final = 16 * 1024**2

# One has its batch in the engine while the other saves its last one and fetches the next.
LANES_AN_ENGINE: Final = 2

S = TypeVar("S", bound=BaseSettings)

# A name is also that of a folder below `DARKROOM_MODELS_DIR`, and must not lead out of it.
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Runtime = Literal["onnx", "openvino", "torch"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "half", "bfloat16"]
# As browsers send it (RFC 6454): no path, no slash at the end. `*` is every origin.
Origin = Annotated[
    str, StringConstraints(pattern=r"^(\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?)$", to_lower=True)
]
Origins = Annotated[tuple[Origin, ...], NoDecode]
ModelNames = Annotated[tuple[ModelName, ...], NoDecode, Field(min_length=1)]


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


def _says(allowed: str) -> dict[str, Any]:
    return {"allowed": allowed}


class Settings(BaseSettings):
    """Everything the roles need to know about their surroundings.

    Durations and sizes carry their unit in the name. Secrets stay out of ``repr``.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    amqp_url: Annotated[SecretStr, _is_url_of(AmqpDsn)] = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/%2F"),
        description="RabbitMQ, as an AMQP URL",
        json_schema_extra=_says("amqp[s]://user:password@host:port/vhost, percent-encoded"),
    )
    mongo_url: Annotated[SecretStr, _is_url_of(MongoDsn)] = Field(
        SecretStr("mongodb://127.0.0.1:27017"),
        description="MongoDB, as a connection string",
        json_schema_extra=_says("mongodb[+srv]://user:password@host:port/..., percent-encoded"),
    )
    mongo_database: str = Field(
        "darkroom",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
        description="the database that holds the collections",
    )
    models: ModelNames = Field(
        ("photos", "digits"),
        description="which models to serve: folders or torchvision names, comma-separated",
        json_schema_extra=_says(
            "comma-separated names of letters, digits, . _ -, a letter or digit first"
        ),
    )
    default_model: str = Field(
        "", description="the model of a job that names none; empty: the first of `DARKROOM_MODELS`"
    )
    models_dir: Path = Field(
        Path("models"), description="where the folders of models lie; relative to the code's folder"
    )
    state_dir: Path = Field(
        Path(".darkroom"), description="where everything that is written lies; relative likewise"
    )
    weights_dir: Path = Field(
        default_factory=lambda values: Path(values.get("state_dir", "")) / "weights",
        description="where downloaded weights and exported networks lie, for all consumers; "
        "relative likewise; unset: `DARKROOM_STATE_DIR`/weights",
    )
    max_image_bytes: int = Field(
        10 * 1024**2, ge=1024, le=14 * 1024**2, description="largest image accepted, in bytes"
    )
    max_image_pixels: int = Field(
        50_000_000, ge=1, le=1_000_000_000, description="largest image accepted, in pixels"
    )
    max_wait_s: int = Field(
        20,
        ge=0,
        le=45,
        description="how long a request may wait for its job; at most `DARKROOM_GRACE_S` less a "
        "call to MongoDB",
    )
    cors_origins: Origins = Field(
        (),
        description="web pages whose scripts may call the API: their origins, comma-separated, or "
        "`*` for all; empty: none but our own page",
        json_schema_extra=_says("comma-separated origins such as https://example.com:8443, or *"),
    )
    max_stored_bytes: int = Field(
        0,
        ge=0,
        le=2**60,
        description="most that stored images and records may take; above it new images are "
        "refused until some have expired or were deleted; in bytes, 0: no limit",
    )
    min_free_mb: int = Field(
        512,
        ge=0,
        le=_MOST_MIB,
        description="new images are refused while a disk has less space left; in MiB, 0: never",
    )
    disks: str = Field(
        "",
        description="folders on the disks that must have `DARKROOM_MIN_FREE_MB` left, separated by "
        "`:`; empty: the disk of MongoDB, as it says itself; in `./start.sh`: those of the state",
    )
    retention_s: int = Field(
        86_400, ge=60, le=10 * 365 * 86_400, description="how long a finished job can be asked for"
    )
    max_attempts: int = Field(3, ge=1, le=100, description="claims before a job is failed")
    job_time_limit_s: float = Field(
        60,
        gt=0,
        le=86_400,
        description="an engine that takes longer over one job, or one batch, is killed",
    )
    decode_limit_s: float = Field(
        10,
        gt=0,
        le=86_400,
        description="an image that takes longer to decode fails its job at once",
    )
    engine_start_limit_s: float = Field(
        300, gt=0, le=86_400, description="an engine that takes longer to load its models is killed"
    )
    cores: int = Field(
        default_factory=available_cores,
        ge=1,
        le=1024,
        description="cores that a consumer may use; unset: the machine's or the container's",
    )
    engines: int = Field(
        1, ge=1, le=64, description="engines of a consumer; no more than it has cores"
    )
    engine_threads: int = Field(
        default_factory=lambda values: max(1, values.get("cores", 1) // values.get("engines", 1)),
        ge=1,
        le=1024,
        description="threads that an engine computes with, no more than it has cores; "
        "unset: one for each of its cores",
    )
    engine_memory_limit_mb: int = Field(
        default_factory=lambda values: (
            total_bytes() * 3 // 4 // MEBIBYTE // int(values.get("engines", 1))
        ),
        ge=0,
        le=_MOST_MIB,
        description="an engine that takes more memory is killed; in MiB, on Linux only, 0: never"
        "; unset: three quarters of the machine's or the container's, divided by the engines",
    )
    engine_max_rss_mb: int = Field(
        0,
        ge=0,
        le=_MOST_MIB,
        description="an engine that holds more after a job is renewed; in MiB, on Linux only, "
        "0: never",
    )
    engine_max_jobs: int = Field(
        0, ge=0, le=10**9, description="an engine is renewed after this many jobs; 0: never"
    )
    runtime: Runtime = Field(
        "onnx",
        description="what computes networks: `onnx` and `openvino` (to be installed with it) from "
        "exports, and `torch` what cannot be exported, or all",
    )
    device: Device = Field(
        "auto",
        description="what torch computes on: `cpu`, `cuda` (then torch serves, whatever "
        "`DARKROOM_RUNTIME` says), or `auto`: a GPU where torch serves and sees one",
    )
    precision: Precision = Field(
        "float32",
        description="what torch computes in; less than `float32` changes the answers a little",
    )
    compile: bool = Field(
        False,
        description="has torch compile networks, which takes up to minutes at each start",
        json_schema_extra=_says("true or false"),
    )
    dct_scaling: bool = Field(
        False,
        description="decodes large JPEGs at a part of their size: faster, but the answers change "
        "a little",
        json_schema_extra=_says("true or false"),
    )
    batch_size: int = Field(
        1, ge=1, le=256, description="most images that an engine computes at once"
    )
    batch_wait_ms: int = Field(
        0,
        ge=0,
        le=10_000,
        description="how long a batch that is not full waits for more; 0: it takes what is there",
    )
    grace_s: float = Field(
        25, gt=0, le=3600, description="how long a stopping role may take over what it has in hand"
    )
    lease_s: float = Field(
        15, ge=1, le=3600, description="a worker whose heartbeat is older counts as dead"
    )
    publish_timeout_s: float = Field(
        0.5, gt=0, le=10, description="how long a request waits for RabbitMQ's confirm"
    )
    publish_after_s: float = Field(
        5, gt=0, le=3600, description="the courier publishes what stayed unpublished this long"
    )
    store_timeout_s: float = Field(
        3, gt=0, le=60, description="how long one call to MongoDB may take"
    )
    amqp_heartbeat_s: int = Field(
        10, ge=2, le=600, description="RabbitMQ connections silent for two of these are dropped"
    )
    pulse_file: Path | None = Field(
        None,
        description="a file that consumer and courier touch every second while they do their "
        "work; unset: none",
    )
    log_format: Literal["console", "json"] = Field("console", description="how log lines look")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the least severe line that is logged"
    )

    @field_validator("models", "cors_origins", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        return value

    @field_validator("models_dir", "state_dir", "weights_dir", "pulse_file", mode="before")
    @classmethod
    def _is_given(cls, value: object) -> object:
        if value == "":  # Path("") would be the code's own folder
            raise ValueError("is empty")
        return value

    @model_validator(mode="after")
    def _default_is_served(self) -> Self:
        if self.default_model and self.default_model not in self.models:
            raise ValueError(
                f"{PREFIX}DEFAULT_MODEL={self.default_model!r} is not allowed; "
                f"allowed: one of {PREFIX}MODELS ({', '.join(self.models)})"
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
    def engine_count(self) -> int:
        """Engines of a consumer: as asked for, but no more than there are cores."""
        return min(self.engines, self.cores)

    @property
    def threads_an_engine(self) -> int:
        """As asked for, but no more than an engine has cores."""
        return min(self.engine_threads, self.cores // self.engine_count)

    @property
    def prefetch_count(self) -> int:
        """Deliveries that a consumer holds: a batch for each of its lanes."""
        return self.engine_count * LANES_AN_ENGINE * self.batch_size

    @property
    def longest_hold_s(self) -> float:
        """How long a consumer may work on a job, if every question takes its full time.

        A batch is lost along with that of the engine's other lane; then each of their jobs
        is asked again, alone.
        """
        alone = LANES_AN_ENGINE * self.batch_size
        return self.job_time_limit_s * (1 + alone)

    @property
    def clipped(self) -> list[str]:
        """Say of each value that is more than can be used what is used instead."""
        limits = [
            ("engines", self.engine_count, f"there are {self.cores} cores"),
            ("engine_threads", self.threads_an_engine, "an engine has no more cores"),
            ("max_wait_s", self.longest_wait_s, f"{PREFIX}GRACE_S less a call to MongoDB allows"),
        ]
        return [
            f"{PREFIX}{name.upper()}={asked} is more than can be used: {used} is used, since "
            f"{reason}"
            for name, used, reason in limits
            if (asked := getattr(self, name)) > used
        ]

    @property
    def max_body_bytes(self) -> int:
        """The largest request body: the largest image as base64, and room for the fields."""
        return -(-self.max_image_bytes * 4 // 3) + 64 * 1024


def load_or_exit(kind: type[S], *, status: int = _BAD_SETTING) -> S:
    """Read settings of *kind* from the environment; a bad value ends the process.

    Exits with *status* after one line that names variable, value and what is allowed. Variables
    that mean nothing, and values that are more than can be used, get a line each.
    """
    try:
        settings = kind()
    except ValidationError as exc:
        sys.stderr.write(f"darkroom: {describe(kind, exc.errors(include_url=False)[0])}\n")
        sys.exit(status)
    unknown = unknown_settings(os.environ, prefix=PREFIX, fields=kind.model_fields)
    clipped = settings.clipped if isinstance(settings, Settings) else []
    for line in (*unknown, *clipped):
        sys.stderr.write(f"darkroom: {line}\n")
    return settings


def describe(kind: type[BaseSettings], error: ErrorDetails) -> str:
    """Say in one line which variable is wrong, what it holds and what is allowed."""
    if not error["loc"]:
        return str(error["ctx"]["error"])
    field = str(error["loc"][0])
    # A connection string may hold a password, which must not reach a log.
    value = "(hidden)" if field.endswith("_url") else repr(error["input"] or "")
    return f"{PREFIX}{field.upper()}={value} is not allowed; allowed: {allowed(kind, field)}"


def allowed(kind: type[BaseSettings], field: str) -> str:
    """Describe the values that *field* takes."""
    schema: dict[str, Any] = kind.model_json_schema()["properties"][field]
    if "allowed" in schema:
        return str(schema["allowed"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    limits = [
        f"{words} {schema[key]:,}".replace(",", "")
        for key, words in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "at most"),
        )
        if key in schema
    ]
    noun = {"integer": "a whole number", "number": "a number", "array": "a comma-separated list"}
    if schema.get("format") == "path":
        return "the path of a folder"
    return " ".join([noun.get(schema.get("type", ""), "text"), " and ".join(limits)]).strip()
