"""A move of a job as an update of its document, which matches only if nobody moved it first.

Some fields exist only for the courier's queries. They are milliseconds as integers, and absent if
nothing is due, so that a sparse index finds what is due among any number of records (nx-27017 is
slow with dates):

* ``publish_due_ms``: when the courier shall publish the job.
* ``waiting_ms``: when it was published, at the latest. The record of a pending job has exactly
  one of these two, any other record neither.
* ``pending_since_ms``: when the job became pending; no message of its fence is older. It stays
  while the job is processed.
* ``finished_ms``: when it finished.
"""

from collections.abc import Sequence
from typing import Final

from common.as_dict import as_dict
from common.jobs import Job, JobState
from common.mongo.connection import Document

# Dates come from the server's clock. (nx-27017 stores a date given to $set as text.)
_STAMP_OF_STATE: Final = {
    JobState.PROCESSING: "started_at",
    JobState.DONE: "finished_at",
    JobState.FAILED: "finished_at",
    JobState.CANCELLED: "finished_at",
}


def unmoved(job: Job) -> Document:
    """Match the document of *job*, if it is still what the caller knows."""
    return {"_id": job.job_id, "state": job.state.value, "fence": job.fence}


def moved_to(job: Job, *, previous: Job, setbacks: Sequence[Document], now_ms: int) -> Document:
    """Return the update for the move from *previous* to *job*.

    It writes only what changes: the document may have members that only a later version knows.

    Args:
        job: The job after the move.
        previous: The job before it.
        setbacks: The setbacks of *previous* as they are stored; needed if *job* has more.
        now_ms: The store's clock.
    """
    is_pending = job.state is JobState.PENDING
    fields = _changed(job, previous, setbacks) | {
        "state": job.state.value,
        "publish_due_ms": now_ms if is_pending else None,
        "waiting_ms": None,
        "finished_ms": now_ms if job.is_finished else None,
    }
    absent = {name: "" for name, value in fields.items() if value is None}
    present = {name: value for name, value in fields.items() if value is not None}
    if is_pending:
        present["pending_since_ms"] = now_ms
        absent |= {"started_at": "", "published_at": "", "finished_at": ""}
    update: Document = {"$set": present, "$unset": absent}
    if (stamp := _STAMP_OF_STATE.get(job.state)) is not None:
        update["$currentDate"] = {stamp: True}
    return update


def _changed(job: Job, previous: Job, setbacks: Sequence[Document]) -> Document:
    fields: Document = {
        name: getattr(job, name)
        for name in ("fence", "attempts", "owner")
        if getattr(job, name) != getattr(previous, name)
    }
    if job.result != previous.result:
        fields["result"] = None if job.result is None else as_dict(job.result)
    if job.error != previous.error:
        fields["error"] = None if job.error is None else as_dict(job.error)
    if new := job.setbacks[len(previous.setbacks) :]:
        # Not $push: nx-27017 stores the appended document as text.
        fields["setbacks"] = [*setbacks, *map(as_dict, new)]
    elif not job.setbacks:
        fields["setbacks"] = None  # a retry begins without any
    return fields
