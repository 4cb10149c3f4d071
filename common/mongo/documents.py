"""Jobs as documents."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, TypeAdapter

from common.as_dict import as_dict
from common.jobs import Job
from common.mongo.connection import Document
from common.mongo.reading import present


def to_document(job: Job) -> Document:
    """Convert a job to a document; members without a value are absent."""
    fields = as_dict(job)
    fields["_id"] = fields.pop("job_id")
    fields["state"] = job.state.value
    fields["republished"] = job.republished or None
    return present(fields)


def from_document(document: Mapping[str, Any]) -> Job:
    """Convert a document to a job; members of other versions are ignored at every depth.

    Raises:
        ValidationError: It is not a job that this version can read.
    """
    fields: Document = {"metadata": {}} | present(document)
    return _JOB.validate_python(fields | {"job_id": document["_id"]})


def _check_stored(fields: Document) -> Document:
    """Refuse values that could be read, but that no query finds: a number as text, or a default."""
    for name in ("state", "fence", "attempts"):
        if name not in fields:
            raise ValueError(f"{name} is missing")
    for name in ("fence", "attempts", "republished", "top_k"):
        value = fields.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{name} is not a number")  # noqa: TRY004 (what pydantic reports)
    return fields


def _check_values(job: Job) -> Job:
    """Refuse values of the right type that can be neither compared nor written as JSON."""
    times = (job.created_at, job.published_at, job.started_at, job.finished_at)
    if any(time is not None and time.tzinfo is None for time in times):
        raise ValueError("a time has no time zone")
    if not all(map(math.isfinite, _numbers(job))):
        raise ValueError("a number is not finite")
    return job


def _numbers(job: Job) -> Iterator[float]:
    yield from (value for value in job.metadata.values() if isinstance(value, float))
    if job.result is not None:
        yield from (job.result.queue_ms, job.result.inference_ms)
        yield from (prediction.probability for prediction in job.result.predictions)


_JOB: Final[TypeAdapter[Job]] = TypeAdapter(
    Annotated[Job, BeforeValidator(_check_stored), AfterValidator(_check_values)]
)
