"""How a job looks as a document."""

from collections.abc import Mapping
from typing import Any

from common.jobs import (
    Failure,
    Idempotency,
    Image,
    Job,
    JobId,
    JobState,
    OwnerId,
    Prediction,
    Result,
    Setback,
)
from common.mongo.connection import Document
from common.plain import plain


def to_document(job: Job) -> Document:
    """Write a job as a document; what it does not have yet is absent."""
    fields = plain(job)
    fields["_id"] = fields.pop("job_id")
    fields["state"] = job.state.value
    fields["republished"] = job.republished or None
    return {name: value for name, value in fields.items() if value is not None}


def from_document(document: Mapping[str, Any]) -> Job:
    """Read a job; fields that later versions add are passed over."""
    owner = document.get("owner")
    return Job(
        job_id=JobId(document["_id"]),
        state=JobState(document["state"]),
        model=document["model"],
        top_k=document["top_k"],
        image=Image(**document["image"]),
        metadata=document.get("metadata", {}),
        fence=document["fence"],
        attempts=document["attempts"],
        owner=None if owner is None else OwnerId(owner),
        created_at=document["created_at"],
        published_at=document.get("published_at"),
        started_at=document.get("started_at"),
        finished_at=document.get("finished_at"),
        result=_result(document.get("result")),
        error=None if document.get("error") is None else Failure(**document["error"]),
        setbacks=tuple(map(_setback, document.get("setbacks", ()))),
        idempotency=_idempotency(document.get("idempotency")),
        republished=document.get("republished", 0),
    )


def _setback(fields: Mapping[str, Any]) -> Setback:
    return Setback(**{**fields, "reason": Failure(**fields["reason"])})


def _idempotency(fields: Mapping[str, Any] | None) -> Idempotency | None:
    return None if fields is None else Idempotency(**fields)


def _result(fields: Mapping[str, Any] | None) -> Result | None:
    if fields is None:
        return None
    predictions = tuple(Prediction(**prediction) for prediction in fields["predictions"])
    return Result(**{**fields, "predictions": predictions})
