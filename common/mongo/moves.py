"""A move of a job as an update of its document, which only fits where nobody moved it first.

Some fields exist for the queries of the courier alone. They are whole numbers of milliseconds,
absent where nothing is due, so that a sparse index finds what is due among any number of
records (nx-27017 finds dates only slowly):

* ``publish_due_ms``: when the courier shall publish the job.
* ``waiting_ms``: when it was published, at the latest. Of a pending job's record exactly one of
  these two is there, of any other's neither.
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
    """Select the document of *job*, if it is still what the caller knows."""
    return {"_id": job.job_id, "state": job.state.value, "fence": job.fence}


def moved_to(job: Job, *, previous: Job, setbacks: Sequence[Document], now_ms: int) -> Document:
    """Write what the move from *previous* to *job* changes in the document.

    Nothing else is written: what is there may have members that only a later version knows.

    Args:
        job: What the job becomes.
        previous: What it was.
        setbacks: Those of *previous* as they are stored; needed if *job* has more.
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
        # Not by $push: nx-27017 stores what that appends as text.
        fields["setbacks"] = [*setbacks, *map(as_dict, new)]
    elif not job.setbacks:
        fields["setbacks"] = None  # a retry begins with none
    return fields
