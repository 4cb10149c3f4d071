"""Accept an image: record the job, then hand it to the consumers."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.catalog import ModelCatalog
from api.idempotency import check_same, identify
from api.intake import Limits, accept
from api.payload import Payload
from common.errors import RepeatedSubmissionError, StoreUnavailableError, TransientError
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

    def submit(self, payload: Payload, *, idempotency_key: str | None = None) -> Job:
        """Record a pending job for the image and publish it.

        Recording comes first, so that no consumer meets a job that the store does not know.

        Args:
            payload: The image, and what is asked for.
            idempotency_key: A submission that repeats an earlier one's gets that one's job.

        Raises:
            ProblemError: The image or a field is not acceptable.
            StoreUnavailableError: Nothing was accepted.
        """
        job = self._describe(payload, idempotency_key)
        if (earlier := self._find_repeated(job)) is not None:
            return earlier
        structlog.contextvars.bind_contextvars(job_id=job.job_id)
        try:
            self.store.add(job, payload.image)
        except RepeatedSubmissionError:  # it came in the same moment, and was first
            if (earlier := self._find_repeated(job)) is not None:
                return earlier
            raise StoreUnavailableError("the job with this key has just expired") from None
        self._publish(job)
        return job

    def _describe(self, payload: Payload, idempotency_key: str | None) -> Job:
        image = accept(payload.image, source=payload.source, limits=self.limits)
        options = payload.options
        model = self.catalog.choose(options.model)
        return Job(
            job_id=new_job_id(),
            model=model,
            top_k=options.top_k,
            image=image,
            metadata=options.metadata,
            created_at=_now(),
            idempotency=None
            if idempotency_key is None
            else identify(idempotency_key, model=model, options=options, image=image),
        )

    def _find_repeated(self, job: Job) -> Job | None:
        if job.idempotency is None:
            return None
        earlier = self.store.find_by_key(job.idempotency.key)
        return None if earlier is None else check_same(earlier, job.idempotency)

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
