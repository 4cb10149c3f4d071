"""Cancel an unfinished job; delete a finished one."""

from typing import Final

import structlog

from api.deadlines import Check, unlimited
from api.jobs.lookup import find_job
from api.problems import ProblemError
from common.errors import StaleJobError
from common.jobs import Job, JobId
from common.ports.jobs import JobStore
from common.problems import answers

log = structlog.stdlib.get_logger(__name__)

# A job moves rarely, hardly ever twice between a read and a write.
_TRIES: Final = 5
_RETRY_AFTER_S: Final = 1


def remove(store: JobStore, job_id: JobId, *, check_in_time: Check = unlimited) -> Job | None:
    """Cancel an unfinished job; delete a finished one with its image.

    Returns:
        The cancelled job, whose record stays for other clients; None if it was deleted.

    Raises:
        ProblemError: There is no such job (404), nobody waits any more (503), or others kept
            moving it (503: the same request may succeed a moment later, and there is nothing for
            the client to change).
    """
    for _ in range(_TRIES):
        job = find_job(store, job_id)
        check_in_time()
        try:
            return _take_back(store, job)
        except StaleJobError:  # claimed, finished, returned or retried meanwhile: read it again
            continue
    raise ProblemError(
        answers.JOB_BUSY,
        "Nothing was cancelled. Try again after the number of seconds in Retry-After.",
        headers={"Retry-After": str(_RETRY_AFTER_S)},
    )


def _take_back(store: JobStore, job: Job) -> Job | None:
    structlog.contextvars.bind_contextvars(job_id=job.job_id)
    if not job.is_finished:
        return _cancel(store, job)
    store.delete(job)
    log.info("deleted", was=job.state.value)
    return None


def _cancel(store: JobStore, job: Job) -> Job:
    cancelled = job.cancel()
    store.save(cancelled, previous=job)
    # The record first: a cancelled job has no exits, so nobody will ask for its image. After
    # a kill in between the image expires with the record.
    store.delete_image(job.job_id)
    log.info("cancelled", was=job.state.value)
    # As it was saved, with the time of its end; unless somebody has deleted it already.
    return store.get(job.job_id) or cancelled
