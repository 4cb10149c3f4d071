"""What goes in and out over HTTP, as schemas; the OpenAPI description is made from them."""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.types import JsonValue

from common.jobs import Job, JobState
from common.workers import ModelState, ServedModel

MAX_METADATA_BYTES = 4096
MAX_TOP_K = 100

# Anything else would be at odds with the names of fields in MongoDB.
MetadataKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
# MongoDB's whole numbers have 64 bits.
MetadataNumber = Annotated[int, Field(ge=-(2**63), lt=2**63)]
MetadataValue = bool | MetadataNumber | Annotated[float, Field(allow_inf_nan=False)] | str | None
Metadata = dict[MetadataKey, MetadataValue]


class JobOptions(BaseModel):
    """What may be asked for beside the image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, max_length=200, description="which model; see GET /models")
    top_k: int = Field(5, ge=1, le=MAX_TOP_K, description="how many predictions to return")
    metadata: Metadata = Field(
        default_factory=dict,
        description="a flat object of yours, returned with the job; at most 4096 bytes as JSON",
    )

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, value: Metadata) -> Metadata:
        size = len(json.dumps(value).encode())
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"has {size} bytes as JSON; at most {MAX_METADATA_BYTES} are allowed")
        return value


class FormOptions(JobOptions):
    """The same as fields of a form or a query, where everything is text."""

    @field_validator("metadata", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be a JSON object, as text") from None


class JsonSubmission(JobOptions):
    """A submission as JSON."""

    base64: str = Field(min_length=1, description="the image in base64, or as a data: URL")

    def image(self) -> bytes:
        """Decode the image.

        Raises:
            ValueError: It is not base64.
        """
        text = self.base64
        if text.startswith("data:"):
            _, _, text = text.partition(",")
        try:
            # Command line tools break base64 into lines.
            return b64decode("".join(text.split()), validate=True)
        except Base64Error as exc:
            raise ValueError(str(exc)) from exc


class ImageView(BaseModel):
    sha256: str
    bytes: int
    format: str = Field(examples=["JPEG"])
    width: int
    height: int
    source: Literal["multipart", "body", "base64"]


class PredictionView(BaseModel):
    label: str
    probability: float = Field(ge=0, le=1, description="softmax over all labels of the model")


class ResultView(BaseModel):
    predictions: list[PredictionView] = Field(description="the most probable first")
    model: str
    model_version: str = Field(description="a digest of the weights")
    queue_ms: float = Field(description="from the record to the claim")
    inference_ms: float = Field(description="decoding, preprocessing and the model")


class FailureView(BaseModel):
    type: str
    title: str
    detail: str


class JobView(BaseModel):
    """A job as a client sees it. Members without a value are absent."""

    id: str
    state: JobState
    model: str
    top_k: int
    image: ImageView
    metadata: dict[str, JsonValue]
    attempts: int = Field(description="how often a consumer took the job up")
    created_at: datetime
    published_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: ResultView | None = Field(None, description="there once the state is `done`")
    error: FailureView | None = Field(None, description="there once the state is `failed`")

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls.model_validate({"id": job.job_id, **asdict(job)})


class ModelView(BaseModel):
    name: str
    state: ModelState
    default: bool
    reason: str | None = Field(None, description="why it is unavailable")
    version: str | None = Field(None, description="a digest of the weights")
    labels: int | None = Field(None, description="how many labels it tells apart")
    description: str | None = None

    @classmethod
    def of(cls, model: ServedModel, *, default: str) -> Self:
        return cls(
            name=model.name,
            state=model.state,
            default=model.name == default,
            reason=model.reason or None,
            version=model.version or None,
            labels=model.labels or None,
            description=model.description or None,
        )


class ModelList(BaseModel):
    models: list[ModelView]


class HealthView(BaseModel):
    status: Literal["ok"] = "ok"


class ReadinessView(BaseModel):
    status: Literal["ready"] = "ready"
    checks: dict[str, str] = Field(examples=[{"store": "ok", "broker": "ok", "consumer": "ok"}])


class ProblemView(BaseModel):
    """Problem details, RFC 9457; further members depend on the type."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:darkroom:problem:image-too-many-pixels"])
    title: str
    status: int
    detail: str


def as_json(view: BaseModel) -> dict[str, Any]:
    """Dump *view* without the members that have no value."""
    return view.model_dump(mode="json", exclude_none=True)
