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

from typing import Final

from common.jobs import Job, JobState
from common.mongo.connection import Document
from common.plain import plain

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


def moved_to(job: Job, *, now_ms: int) -> Document:
    """Write what the document of *job* becomes by the move that made it."""
    is_pending = job.state is JobState.PENDING
    fields = {
        "state": job.state.value,
        "fence": job.fence,
        "attempts": job.attempts,
        "owner": job.owner,
        "result": None if job.result is None else plain(job.result),
        "error": None if job.error is None else plain(job.error),
        "setbacks": [plain(setback) for setback in job.setbacks] or None,
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
