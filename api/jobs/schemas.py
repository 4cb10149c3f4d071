"""The schemas of jobs."""

import json
import math
from datetime import datetime
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.types import JsonValue
from pydantic_core import from_json

from common.as_dict import as_dict
from common.jobs import Job, JobState

MAX_METADATA_BYTES = 4096
MAX_TOP_K = 100

# More are a mistake, or an attack: each wrong field becomes an error of its own, and a body
# has room for a million.
_MAX_FIELDS = 100


def _is_scalar(value: object) -> object:
    match value:
        case str() | bool() | None:
            return value
        # MongoDB's whole numbers have 64 bits.
        case int() if -(2**63) <= value < 2**63:
            return value
        case float() if math.isfinite(value):
            return value
    raise ValueError("must be text, a number (a whole one within 64 bits), true, false or null")


# Anything else would be at odds with the names of fields in MongoDB.
_KEY = r"^[A-Za-z0-9_-]{1,64}$"
MetadataKey = Annotated[str, Field(pattern=_KEY)]
MetadataValue = Annotated[bool | int | float | str | None, BeforeValidator(_is_scalar)]
# Described so, since client generators ignore `patternProperties`, pydantic's own form.
Metadata = Annotated[
    dict[MetadataKey, MetadataValue],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _KEY},
            "additionalProperties": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
                    {"type": "number"},
                    {"type": "boolean"},
                    {"type": "null"},
                ]
            },
        }
    ),
]


class JobOptions(BaseModel):
    """The options of a submission."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        None, max_length=200, description="the name of the model; see GET /models"
    )
    top_k: int = Field(
        5, ge=1, le=MAX_TOP_K, description="how many predictions to return; 5 if not given"
    )
    metadata: Metadata = Field(
        default_factory=dict,
        description="a flat object that the job returns unchanged; at most 4096 bytes as JSON",
    )

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > _MAX_FIELDS:
            raise ValueError(f"has {len(value)} fields; there are {len(cls.model_fields)}")
        return value

    @field_validator("metadata", mode="before")
    @classmethod
    def _is_small(cls, value: object) -> object:
        size = len(json.dumps(value).encode())
        if size > MAX_METADATA_BYTES:
            raise ValueError(f"has {size} bytes as JSON; at most {MAX_METADATA_BYTES} are allowed")
        return value


class FormOptions(JobOptions):
    """The options as fields of a form or a query, where every value is text."""

    @field_validator("metadata", mode="before")
    @classmethod
    def _parse(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            # Unlike json.loads it refuses half a surrogate pair, which MongoDB cannot hold.
            return from_json(value)
        except ValueError:
            raise ValueError("must be a JSON object, as text") from None


class FormSubmission(FormOptions):
    """A submission as a form: the image as a file, the options as fields."""

    image: Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})]


class JsonSubmission(JobOptions):
    """A submission as JSON."""

    base64: str = Field(
        min_length=1, description="the image in base64 or base64url, or as a data: URL in base64"
    )

    def options(self) -> JobOptions:
        """Return the options, without the image."""
        given = {name: getattr(self, name) for name in self.model_fields_set - {"base64"}}
        return JobOptions.model_construct(_fields_set=set(given), **given)


class ImageView(BaseModel):
    sha256: str
    bytes: int
    format: str = Field(examples=["JPEG"])
    width: int
    height: int
    # Any value in the record: a later version may know more sources.
    source: str = Field(
        description="how the image was sent", examples=["multipart", "body", "base64"]
    )


class PredictionView(BaseModel):
    label: str
    probability: float = Field(
        description="the softmax over all labels of the model",
        # Described, not enforced: rounding in a predictor may exceed it.
        json_schema_extra={"minimum": 0, "maximum": 1},
    )


class ResultView(BaseModel):
    predictions: list[PredictionView] = Field(description="the most probable first")
    model: str
    model_version: str = Field(
        description="a digest of everything that decides the answers: weights, labels, ..."
    )
    queue_ms: float = Field(description="from the record of the job to its claim")
    inference_ms: float = Field(
        description="decoding, preprocessing and the model; in a batch, for all its images"
    )


class FailureView(BaseModel):
    type: str
    title: str
    detail: str


class SetbackView(BaseModel):
    attempt: int
    reason: FailureView


class JobView(BaseModel):
    """A job as a client sees it. Members without a value are absent."""

    id: str
    state: JobState = Field(description="`done`, `failed` and `cancelled` are final")
    model: str
    top_k: int
    image: ImageView
    metadata: dict[str, JsonValue]
    attempts: int = Field(description="how often a consumer claimed the job")
    created_at: datetime
    published_at: datetime | None = Field(
        None,
        description="when the service recorded that the message reached the queue; absent if a "
        "consumer was faster",
    )
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: ResultView | None = Field(None, description="present if the state is `done`")
    error: FailureView | None = Field(None, description="present if the state is `failed`")
    setbacks: list[SetbackView] | None = Field(
        None, description="why each unsuccessful attempt ended"
    )

    @classmethod
    def of(cls, job: Job) -> Self:
        fields = as_dict(job)
        return cls.model_validate(
            {"id": job.job_id, **fields, "setbacks": fields["setbacks"] or None}
        )
