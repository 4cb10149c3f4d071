"""Publish the jobs that the API could not publish."""

import structlog

from common.errors import StoreRefusedError
from common.jobs import Job
from common.messages import ClassifyMessage
from common.ports.outbox import Outbox
from common.ports.publisher import Publisher

log = structlog.stdlib.get_logger(__name__)

# A job that was taken and not published is due again after this time.
_LEASE_S = 5.0


def relay(outbox: Outbox, publisher: Publisher, *, at_most: int) -> int:
    """Publish at most *at_most* jobs whose publishing is due; return how many were published.

    Each job is taken by compare-and-set first, so that several couriers share the work. If one dies
    in between, another publishes the job; a second message does no harm.

    Raises:
        BrokerUnavailableError: RabbitMQ accepts no messages; the other jobs wait.
        StoreUnavailableError: The store does not answer.
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
        log.error("published, but the store refused to record it", reason=str(exc))  # noqa: TRY400
    else:
        log.info("published an unpublished job")
