"""Accept an image: record the job, then hand it to the consumers."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.catalog import ModelCatalog
from api.intake import Limits, accept
from api.payload import Payload
from common.errors import TransientError
from common.jobs import Job, new_job_id
from common.messages import ClassifyMessage
from common.ports import JobStore, Publisher

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The use case behind ``POST /jobs``, with what it needs."""

    store: JobStore
    publisher: Publisher
    catalog: ModelCatalog
    limits: Limits

    def submit(self, payload: Payload) -> Job:
        """Record a pending job for the image and publish it.

        Recording comes first, so that no consumer meets a job that the store does not know.

        Raises:
            ProblemError: The image or a field is not acceptable.
            StoreUnavailableError: Nothing was accepted.
        """
        image = accept(payload.image, source=payload.source, limits=self.limits)
        job = Job(
            job_id=new_job_id(),
            model=self.catalog.choose(payload.options.model),
            top_k=payload.options.top_k,
            image=image,
            metadata=payload.options.metadata,
            created_at=_now(),
        )
        structlog.contextvars.bind_contextvars(job_id=job.job_id)
        self.store.add(job, payload.image)
        self._publish(job)
        return job

    def _publish(self, job: Job) -> None:
        try:
            self.publisher.publish(ClassifyMessage.for_job(job))
            self.store.mark_published(job.job_id, fence=job.fence)
        except TransientError as exc:  # the record is the outbox: the job is accepted
            log.warning("the courier will publish this job", reason=str(exc))
            return
        log.info("accepted", model=job.model, image_bytes=job.image.bytes)


def _now() -> datetime:
    """Return the time in whole milliseconds: MongoDB keeps no finer ones."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
