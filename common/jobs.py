"""A classification job, the states it passes through and the moves between them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

JobId = NewType("JobId", str)
OwnerId = NewType("OwnerId", str)


class JobState(StrEnum):
    PENDING = "pending"  # recorded; its message waits in the queue, or for the courier
    PROCESSING = "processing"  # claimed by a consumer, its owner
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  # its client has cancelled it


LEGAL_MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.PENDING: frozenset({JobState.PROCESSING, JobState.FAILED, JobState.CANCELLED}),
    # Back to PENDING: the owner died or lost its engine, so that another consumer tries.
    JobState.PROCESSING: frozenset(
        {JobState.PENDING, JobState.DONE, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.DONE: frozenset(),
    # Only by an explicit retry.
    JobState.FAILED: frozenset({JobState.PENDING}),
    JobState.CANCELLED: frozenset(),
}
FINISHED: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


class IllegalMoveError(Exception):
    """A job was asked to move to a state it cannot reach: a bug, not an outage."""


@dataclass(frozen=True, slots=True)
class Prediction:
    label: str
    probability: float  # softmax over all labels, 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A submitted image, as its header describes it; the bytes are stored separately."""

    sha256: str
    bytes: int
    format: str
    width: int
    height: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer of a model about an image, and how long it took."""

    predictions: tuple[Prediction, ...]
    model: str
    model_version: str
    queue_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a job failed, as problem details (RFC 9457)."""

    type: str
    title: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """An attempt that ended without a result."""

    attempt: int
    owner: OwnerId | None
    reason: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """What distinguishes a repeated submission from a new one."""

    key: str
    fingerprint: str  # of everything that was asked for; one key with two is a mistake


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image on its way to a result.

    ``fence`` rises with every claim, return, retry and cancellation and never falls; a write with
    an old fence changes nothing. ``attempts`` counts the claims.
    """

    job_id: JobId
    model: str
    top_k: int
    image: Image
    created_at: datetime
    metadata: Mapping[str, str | int | float | bool | None]
    state: JobState = JobState.PENDING
    fence: int = 0
    attempts: int = 0
    owner: OwnerId | None = None
    published_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Result | None = None
    error: Failure | None = None
    setbacks: tuple[Setback, ...] = ()  # of the attempts since the submission, or the retry
    idempotency: Idempotency | None = None
    republished: int = 0  # how often its message was lost and published again

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def queue_ms(self) -> float:
        """How long the job waited for its claim; 0 while it waits or if clocks disagree."""
        if self.started_at is None:
            return 0.0
        return max(0.0, (self.started_at - self.created_at).total_seconds() * 1000)

    def claim(self, owner: OwnerId) -> "Job":
        """Claim the job: one more attempt."""
        moved = self._moved_to(JobState.PROCESSING)
        return replace(moved, owner=owner, fence=self.fence + 1, attempts=self.attempts + 1)

    def succeed(self, result: Result) -> "Job":
        return replace(self._moved_to(JobState.DONE), result=result, owner=None)

    def fail(self, error: Failure) -> "Job":
        return replace(self._moved_to(JobState.FAILED), error=error, owner=None)

    def give_back(self, reason: Failure, *, max_attempts: int) -> "Job":
        """Return the job for another attempt, or fail it with *reason* if this was the last."""
        setback = Setback(attempt=self.attempts, owner=self.owner, reason=reason)
        job = replace(self, setbacks=(*self.setbacks, setback))
        if self.attempts >= max_attempts:
            last = f"{reason.detail} (attempt {self.attempts} of {max_attempts})"
            return job.fail(replace(reason, detail=last))
        return job._waiting_again(JobState.PROCESSING)

    def retry(self) -> "Job":
        """Retry a failed job under the same id, with a fresh set of attempts."""
        waiting = self._waiting_again(JobState.FAILED)
        return replace(waiting, attempts=0, setbacks=(), error=None)

    def cancel(self) -> "Job":
        """Cancel the job; its owner, if there is one, cannot save it any more."""
        return replace(self._moved_to(JobState.CANCELLED), owner=None, fence=self.fence + 1)

    def _waiting_again(self, origin: JobState) -> "Job":
        # Two moves lead back to PENDING, each from a state of its own.
        if self.state is not origin:
            raise IllegalMoveError(f"job {self.job_id} is {self.state}, not {origin}")
        return replace(
            self._moved_to(JobState.PENDING),
            owner=None,
            started_at=None,
            published_at=None,
            finished_at=None,
            fence=self.fence + 1,
        )

    def _moved_to(self, target: JobState) -> "Job":
        if target not in LEGAL_MOVES[self.state]:
            raise IllegalMoveError(f"job {self.job_id}: {self.state} -> {target}")
        return replace(self, state=target)


def new_job_id() -> JobId:
    """Make an id that nobody can guess: 122 random bits."""
    return JobId(uuid.uuid4().hex)
