"""What becomes of a delivery: decided here, without AMQP and without torch."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog
from tenacity import Retrying

from common.errors import (
    DarkroomError,
    MalformedMessageError,
    StaleJobError,
    StoreRefusedError,
    StoreUnavailableError,
    TransientError,
    UnreadableRecordError,
)
from common.jobs import Failure, Job, JobId, JobState, OwnerId, Result
from common.messages import ClassifyMessage
from common.ports.deliveries import Disposition
from common.ports.jobs import JobStore
from common.problems import answers, failures
from common.text import cleaned
from consumer.errors import EngineLostError, EngineNotReadyError, Outcome
from engine.protocol import Question, Refusal, Reply

log = structlog.stdlib.get_logger(__name__)

_IMAGE_GONE: Final = failures.IMAGE_GONE.failure("Its bytes are not in the store.")
_IMAGE_UNREADABLE: Final = failures.IMAGE_GONE.failure(
    "The store has a record of the image, but without bytes that this version can read.",
)
_LONGEST_REASON: Final = 200
# What may end the handling of a delivery; anything else is a bug.
_EXPECTED: Final = (TransientError, StoreRefusedError, StaleJobError)


class Engines(Protocol):
    """The engine, as the handler sees it."""

    def wait_until_ready(self) -> None:
        """Wait for an engine that can be asked.

        Raises:
            EngineNotReadyError: The process is stopping.
        """
        ...

    def ask(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Classify some images; yield the outcomes in their order, each once it is known."""
        ...


class _Claims:
    """The claims that the lanes of this process are working on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: set[tuple[JobId, int]] = set()

    def take(self, job: Job) -> bool:
        """Add a claim; return False if a lane has it already."""
        with self._lock:
            is_free = (job.job_id, job.fence) not in self._claims
            self._claims.add((job.job_id, job.fence))
        return is_free

    def drop(self, job: Job) -> None:
        with self._lock:
            self._claims.discard((job.job_id, job.fence))


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Turns deliveries into saved results.

    Args:
        owner: The id of this process; new at every start.
        max_attempts: Claims after which a job is failed.
        patiently: Repeats a call while the store is away, or refuses even the smallest save, which
            it would refuse for any other job, too. The delivery is held meanwhile: given back, it
            would come again at once, and a result would be lost.
    """

    store: JobStore
    engines: Engines
    owner: OwnerId
    max_attempts: int
    patiently: Retrying
    _claims: _Claims = field(default_factory=_Claims, init=False)

    def handle(self, bodies: Sequence[bytes]) -> Iterator[tuple[int, Disposition]]:
        """Classify the images that *bodies* name as one batch, and save each outcome by itself.

        Safe to repeat: the same body may be delivered any number of times, also at once.

        Yields:
            The index of a body and what becomes of its delivery, as soon as that is known.
        """
        begun: list[tuple[int, Job, Question]] = []
        with ExitStack() as hands:
            for index, body in enumerate(bodies):
                step = self._begin(body, hands)
                if isinstance(step, Disposition):
                    yield index, step
                else:
                    begun.append((index, *step))
            if begun:
                outcomes = self.engines.ask([question for _, _, question in begun])
                for (index, job, _), outcome in zip(begun, outcomes, strict=True):
                    yield index, self._end(job, outcome)

    def _begin(self, body: bytes, hands: ExitStack) -> tuple[Job, Question] | Disposition:
        """Claim the job that *body* names and load its image, unless there is nothing to do."""
        try:
            message = ClassifyMessage.decode(body)
        except MalformedMessageError as exc:
            log.error("dead-lettering a malformed message", reason=str(exc))  # noqa: TRY400
            return Disposition.DEAD_LETTER
        with structlog.contextvars.bound_contextvars(job_id=message.id):
            try:
                return self._claimed_with_image(message, hands) or Disposition.ACK
            except _EXPECTED as exc:
                return _disposition_after(exc)

    def _claimed_with_image(
        self, message: ClassifyMessage, hands: ExitStack
    ) -> tuple[Job, Question] | None:
        # An engine that is still loading costs no attempt: wait before the claim.
        self.engines.wait_until_ready()
        job = self._claim(message, hands)
        image = None if job is None else self.patiently(self._image, job)
        if job is None or image is None:
            return None
        return job, Question(job.job_id, image, job.model, job.top_k)

    def _image(self, job: Job) -> bytes | None:
        """Load the image of a claimed job; without one, move the job and return None."""
        try:
            image = self.store.image(job.job_id)
        except UnreadableRecordError as exc:
            log.warning("the image cannot be read", reason=str(exc))
            # Another version may be able to.
            self._save(job.give_back(_IMAGE_UNREADABLE, max_attempts=self.max_attempts), job)
            return None
        except StoreRefusedError as exc:
            self._fail(job, _refused("load the image of this job", exc))
            return None
        if image is None:
            self._fail(job, _IMAGE_GONE)
        return image

    def _end(self, job: Job, outcome: Outcome) -> Disposition:
        with structlog.contextvars.bound_contextvars(job_id=job.job_id):
            if isinstance(outcome, EngineNotReadyError):
                return _disposition_after(outcome)
            try:
                self.patiently(self._save, self._moved(job, outcome), job)
            except _EXPECTED as exc:
                return _disposition_after(exc)
        return Disposition.ACK

    def _save(self, job: Job, previous: Job) -> None:
        """Save *job* in place of *previous*; if the store refuses that, fail the job instead."""
        try:
            self.store.save(job, previous=previous)
        except StoreRefusedError as exc:
            self._fail(previous, _refused("save the result of this job", exc))
            return
        log.info("finished" if job.is_finished else "returned", state=job.state.value)

    def _fail(self, job: Job, reason: Failure) -> None:
        """Fail a job: so small a save that the store has no reason to refuse it."""
        self.store.save(job.fail(reason), previous=job)
        log.warning("failed", reason=reason.detail)

    def _claim(self, message: ClassifyMessage, hands: ExitStack) -> Job | None:
        """Claim the job that *message* names; None if there is nothing to do for it."""
        try:
            job = self.patiently(self._claim_or_find, message)
        except UnreadableRecordError as exc:
            # Not requeued, or it would come back at once: the courier publishes from the record.
            log.warning("dropped: this version cannot read the job", reason=str(exc))
            self.patiently(
                self.store.put_back, message.id, fence=message.fence + 1, owner=self.owner
            )
            return None
        if job is None:
            return None
        if not self._claims.take(job):
            log.info("dropped: another lane holds the job")
            return None
        hands.callback(self._claims.drop, job)
        return job

    def _claim_or_find(self, message: ClassifyMessage) -> Job | None:
        """Claim the job, or find our own claim, whose answer was lost on the way.

        Raises:
            StoreUnavailableError: The store made no claim, although the job is pending.
        """
        claimed = self.store.claim(message.id, fence=message.fence, owner=self.owner)
        return claimed or self._claimed_before(message)

    def _claimed_before(self, message: ClassifyMessage) -> Job | None:
        found = self.store.get(message.id)
        if found is None:
            log.info("dropped: the job is unknown or expired")
        elif found.state is JobState.PENDING and found.fence == message.fence:
            # nx-27017 answers so while its disk is full. A job is never twice at one fence, so
            # nobody else can have had it meanwhile.
            raise StoreUnavailableError("the store did not claim the job")
        elif found.state is not JobState.PROCESSING:
            log.info("dropped: the job has moved on", state=found.state.value)
        elif found.owner == self.owner and found.fence == message.fence + 1:
            return found
        else:
            # Its owner may be dead, but only the courier can tell that from an outage.
            log.info("dropped: another consumer holds the job", owner=found.owner)
        return None

    def _moved(self, job: Job, outcome: Reply | EngineLostError) -> Job:
        if isinstance(outcome, EngineLostError):
            reason = outcome.problem.failure(f"It {outcome}.")
            return job.give_back(reason, max_attempts=self.max_attempts)
        if isinstance(outcome, Refusal):
            return job.fail(outcome.reason)
        return job.succeed(
            Result(
                predictions=outcome.predictions,
                model=job.model,
                model_version=outcome.model_version,
                queue_ms=round(job.queue_ms, 3),
                inference_ms=outcome.inference_ms,
            )
        )


def _refused(what: str, error: StoreRefusedError) -> Failure:
    detail = f"MongoDB refused to {what}: {cleaned(str(error), most=_LONGEST_REASON)}"
    return answers.STORE_REFUSED.failure(detail)


def _disposition_after(error: DarkroomError) -> Disposition:
    """Decide what becomes of a delivery when its job could not be moved."""
    if isinstance(error, StaleJobError):
        log.info("another process moved the job first")
        return Disposition.ACK
    log.warning("requeueing the delivery", reason=str(error))
    return Disposition.REQUEUE
