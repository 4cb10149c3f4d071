"""The message that names a job to the consumers; docs/asyncapi.yaml is its contract."""

import json
from dataclasses import asdict, dataclass
from typing import Final, Self

from pydantic_core import from_json

from common.errors import MalformedMessageError
from common.jobs import Job, JobId

MESSAGE_TYPE: Final = "classify.v1"

# MongoDB has neither larger integers nor text that is not Unicode, both of which JSON can hold:
# a query for such a job would fail again and again.
_LARGEST_FENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ClassifyMessage:
    """Asks for one job to be classified. It has no image: large messages slow RabbitMQ down."""

    id: JobId
    model: str
    fence: int

    @classmethod
    def for_job(cls, job: Job) -> Self:
        return cls(id=job.job_id, model=job.model, fence=job.fence)

    def encode(self) -> bytes:
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """Read a message from the body of a delivery.

        Raises:
            MalformedMessageError: Repeating cannot help; dead-letter the delivery.
        """
        try:
            # Not json.loads, which recurses on Python's stack: near its limit a finalizer that the
            # garbage collector calls fails halfway, and leaves broken what it was to put in order.
            fields = from_json(body)
        except ValueError as exc:
            raise MalformedMessageError(f"not JSON: {body[:100]!r}") from exc
        match fields:
            case {"id": str(job_id), "model": str(model), "fence": int(fence)} if (
                job_id.isascii() and 0 <= fence <= _LARGEST_FENCE
            ):
                return cls(id=JobId(job_id), model=model, fence=fence)
        raise MalformedMessageError(f"not a {MESSAGE_TYPE} message: {body[:100]!r}")
