"""Publish what the API could not: the jobs that stayed unpublished."""

import structlog

from common.errors import StoreRefusedError
from common.jobs import Job
from common.messages import ClassifyMessage
from common.ports import Outbox, Publisher

log = structlog.stdlib.get_logger(__name__)

# A job that is taken and then not published comes up again after this time.
_LEASE_S = 5.0


def relay(outbox: Outbox, publisher: Publisher, *, at_most: int) -> int:
    """Publish at most *at_most* jobs whose publishing is due; return how many were.

    Each job is taken by compare-and-set first, so several couriers share the work. One that
    dies in between leaves the job to the others, and a second message does no harm.

    Raises:
        BrokerUnavailableError: RabbitMQ takes no messages; what is left waits.
        StoreUnavailableError: So does the store.
    """
    for published in range(at_most):
        job = outbox.take_unpublished(lease_s=_LEASE_S)
        if job is None:
            return published
        with structlog.contextvars.bound_contextvars(job_id=job.job_id):
            publisher.publish(ClassifyMessage.for_job(job))
            _note(outbox, job)
    return at_most


def _note(outbox: Outbox, job: Job) -> None:
    try:
        outbox.mark_published(job)
    except StoreRefusedError as exc:  # then it comes up again, after its lease
        log.error("published, but that could not be noted", reason=str(exc))  # noqa: TRY400
    else:
        log.info("published a job that had stayed unpublished")
