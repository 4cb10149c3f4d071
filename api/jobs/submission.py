"""Accept an image, or retry a failed job: record it, then publish it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.deadlines import Check, unlimited
from api.jobs.idempotency import check_same, identify
from api.jobs.lookup import find_job
from api.jobs.payload.reading import Payload
from api.jobs.room import Room
from api.models.catalog import ModelCatalog
from api.problems import ProblemError, storage_full
from common.errors import (
    RepeatedSubmissionError,
    StaleJobError,
    StoreUnavailableError,
    TransientError,
)
from common.intake import ImageLimits, accept
from common.jobs import Idempotency, IllegalMoveError, Image, Job, JobId, new_job_id
from common.messages import ClassifyMessage
from common.ports.jobs import JobStore
from common.ports.publisher import Publisher
from common.problems import answers

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job of a submission, and whether an earlier submission made it."""

    job: Job
    is_replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Accepts and retries jobs.

    Args:
        note_published: Called with each job whose message reached the queue.
    """

    store: JobStore
    publisher: Publisher
    catalog: ModelCatalog
    limits: ImageLimits
    room: Room
    note_published: Callable[[Job], None]

    def submit(
        self,
        payload: Payload,
        *,
        idempotency_key: str | None = None,
        check_in_time: Check = unlimited,
    ) -> Submitted:
        """Record a pending job for the image and publish it.

        Recording comes first, so that no consumer meets a job that the store does not know.

        Args:
            payload: The image and the options.
            idempotency_key: A submission with the key of an earlier one returns that job.
            check_in_time: Called right before the job is recorded.

        Raises:
            RefusedImageError: The image is not acceptable.
            ProblemError: A field is not acceptable, or the client no longer waits.
            StoreUnavailableError: Nothing was accepted.
        """
        image = accept(payload.image, source=payload.source, limits=self.limits)
        idempotency = self._identify(payload, image, idempotency_key)
        # Before the model: an accepted job stays accepted even if its model is gone.
        if (earlier := self._find_repeated(idempotency)) is not None:
            return Submitted(earlier, is_replayed=True)
        self.catalog.check_format(image.format)
        self._refuse_without_room(len(payload.image))
        job = self._new_job(payload, image, idempotency)
        structlog.contextvars.bind_contextvars(job_id=job.job_id)
        check_in_time()
        try:
            self.store.add(job, payload.image)
        except RepeatedSubmissionError:  # it came at the same moment and won
            if (earlier := self._find_repeated(idempotency)) is not None:
                return Submitted(earlier, is_replayed=True)
            raise StoreUnavailableError("the job with this key has just expired") from None
        self.room.note_stored(len(payload.image))
        self._publish(job)
        return Submitted(job, is_replayed=False)

    def retry(self, job_id: JobId, *, check_in_time: Check = unlimited) -> Job:
        """Retry a failed job.

        Raises:
            ProblemError: There is no such job (404), it has not failed (409), or nobody waits
                any more (503).
        """
        failed = find_job(self.store, job_id)
        try:
            retried = failed.retry()
            check_in_time()
            self.store.save(retried, previous=failed)
        except (IllegalMoveError, StaleJobError) as exc:
            raise ProblemError(
                answers.JOB_NOT_FAILED,
                f"The job is {failed.state.value}, or somebody else has just retried it.",
            ) from exc
        structlog.contextvars.bind_contextvars(job_id=job_id)
        self._publish(retried)
        return retried

    def _new_job(self, payload: Payload, image: Image, idempotency: Idempotency | None) -> Job:
        return Job(
            job_id=new_job_id(),
            model=self.catalog.choose(payload.options.model),
            top_k=payload.options.top_k,
            image=image,
            metadata=payload.options.metadata,
            created_at=_now(),
            idempotency=idempotency,
        )

    def _identify(self, payload: Payload, image: Image, key: str | None) -> Idempotency | None:
        if key is None:
            return None
        model = payload.options.model or self.catalog.default
        return identify(key, model=model, options=payload.options, image=image)

    def _find_repeated(self, idempotency: Idempotency | None) -> Job | None:
        if idempotency is None:
            return None
        earlier = self.store.find_by_key(idempotency.key)
        return None if earlier is None else check_same(earlier, idempotency)

    def _refuse_without_room(self, image_bytes: int) -> None:
        if shortage := self.room.shortage(image_bytes):
            log.warning("refused: there is no space", shortage=shortage)
            raise storage_full(f"The image was not accepted: {shortage}.")

    def _publish(self, job: Job) -> None:
        try:
            self.publisher.publish(ClassifyMessage.for_job(job))
            self.note_published(job)
        except TransientError as exc:  # the record is the outbox: the job is accepted
            log.warning("the courier will publish this job", reason=str(exc))
            return
        log.info("accepted", model=job.model, image_bytes=job.image.bytes)


def _now() -> datetime:
    """Return the time in whole milliseconds: MongoDB keeps no finer ones."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
