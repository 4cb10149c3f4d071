"""Find a job by its id."""

from api.problems import ProblemError
from common.jobs import Job, JobId
from common.ports.jobs import JobStore
from common.problems import answers


def find_job(store: JobStore, job_id: JobId) -> Job:
    """Return the job.

    Raises:
        ProblemError: It is unknown or expired (404).
    """
    job = store.get(job_id)
    if job is None:
        raise ProblemError(
            answers.JOB_NOT_FOUND,
            "No job has this id: it was never accepted, it was deleted, or its retention period "
            "has expired.",
        )
    return job
