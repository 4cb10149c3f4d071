"""What is done with a delivery: the decision, free of AMQP and of torch."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol

import structlog
from tenacity import Retrying

from common.errors import (
    MalformedMessageError,
    StaleJobError,
    StoreRefusedError,
    StoreUnavailableError,
    TransientError,
    UnreadableRecordError,
)
from common.jobs import Failure, Job, JobId, JobState, OwnerId, Result
from common.messages import ClassifyMessage
from common.ports import JobStore
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


class Disposition(Enum):
    """What becomes of a delivery."""

    ACK = auto()  # the job is saved, or is somebody else's
    REQUEUE = auto()  # this process is stopping; another consumer gets it
    DEAD_LETTER = auto()  # it is no message of ours


class Classifier(Protocol):
    """The engine, as the handler sees it."""

    def wait_until_ready(self) -> None:
        """Wait for an engine that can be asked.

        Raises:
            EngineNotReadyError: The process is stopping.
        """
        ...

    def ask(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Classify some images; give the outcome of each, in their order, as soon as known."""
        ...


class _Claims:
    """The claims that some lane of this process has in hand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: set[tuple[JobId, int]] = set()

    def take(self, job: Job) -> bool:
        """Take a claim in hand; False if a lane has it already."""
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
        patiently: Repeats a call while the store is away, or refuses even what says next to
            nothing about the job: no other job would fare better. Meanwhile the delivery is
            held, not given back: it would come round in a loop, and a result would be lost.
    """

    store: JobStore
    classifier: Classifier
    owner: OwnerId
    max_attempts: int
    patiently: Retrying
    _claims: _Claims = field(default_factory=_Claims, init=False)

    def handle(self, bodies: Sequence[bytes]) -> Iterator[tuple[int, Disposition]]:
        """Classify the images that *bodies* name, at once, and save each outcome by itself.

        Safe to repeat: the same body may be delivered any number of times, also at once.

        Yields:
            The place of a body among them and what becomes of its delivery, once that is known.
        """
        begun: list[tuple[int, Job, Question]] = []
        with ExitStack() as hands:
            for place, body in enumerate(bodies):
                step = self._begin(body, hands)
                if isinstance(step, Disposition):
                    yield place, step
                else:
                    begun.append((place, *step))
            if begun:
                outcomes = self.classifier.ask([question for _, _, question in begun])
                for (place, job, _), outcome in zip(begun, outcomes, strict=True):
                    yield place, self._end(job, outcome)

    def _begin(self, body: bytes, hands: ExitStack) -> tuple[Job, Question] | Disposition:
        """Claim the job that *body* names and load its image, unless there is nothing to do."""
        try:
            message = ClassifyMessage.decode(body)
        except MalformedMessageError as exc:
            log.error("dead-lettering a malformed message", reason=str(exc))  # noqa: TRY400
            return Disposition.DEAD_LETTER
        with _settling(message.id) as settled:
            # Before the claim, so that an engine which is still loading costs no attempt.
            self.classifier.wait_until_ready()
            job = self._claim(message, hands)
            if job is not None:
                image = self.patiently(self._image, job)
                if image is not None:
                    return job, Question(job.job_id, image, job.model, job.top_k)
        return settled.disposition

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
        with _settling(job.job_id) as settled:
            if isinstance(outcome, EngineNotReadyError):
                raise outcome
            self.patiently(self._save, self._moved(job, outcome), job)
        return settled.disposition

    def _save(self, job: Job, previous: Job) -> None:
        """Save what became of *previous*; if the store refuses that, fail the job instead."""
        try:
            self.store.save(job, previous=previous)
        except StoreRefusedError as exc:
            self._fail(previous, _refused("save what became of this job", exc))
            return
        log.info("finished" if job.is_finished else "given back", state=job.state.value)

    def _fail(self, job: Job, reason: Failure) -> None:
        """Fail a job: a save so small and plain that there is nothing in it to refuse."""
        self.store.save(job.fail(reason), previous=job)
        log.warning("failed", reason=reason.detail)

    def _claim(self, message: ClassifyMessage, hands: ExitStack) -> Job | None:
        """Claim the job that *message* names; None if there is nothing to do for it."""
        try:
            job = self.patiently(self._claim_or_find, message)
        except UnreadableRecordError as exc:
            # Not requeued: it would come back at once. The record is its own outbox.
            log.warning("dropped: this version cannot read the job", reason=str(exc))
            self.patiently(
                self.store.put_back, message.id, fence=message.fence + 1, owner=self.owner
            )
            return None
        if job is None:
            return None
        if not self._claims.take(job):
            log.info("dropped: another lane has it")
            return None
        hands.callback(self._claims.drop, job)
        return job

    def _claim_or_find(self, message: ClassifyMessage) -> Job | None:
        """Claim the job, or find our own claim, whose answer was lost on the way.

        Raises:
            StoreUnavailableError: The claim was not made, although nothing speaks against it.
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
            raise StoreUnavailableError("the store did not make a claim")
        elif found.state is not JobState.PROCESSING:
            log.info("dropped: the job has moved on", state=found.state.value)
        elif found.owner == self.owner and found.fence == message.fence + 1:
            return found
        else:
            # Its owner may be dead, but only the courier can tell that from an outage.
            log.info("dropped: another consumer has it", owner=found.owner)
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


@dataclass(slots=True)
class _Settled:
    disposition: Disposition = Disposition.ACK


@contextmanager
def _settling(job_id: JobId) -> Iterator[_Settled]:
    """Decide what becomes of a delivery if the block cannot go on."""
    settled = _Settled()
    with structlog.contextvars.bound_contextvars(job_id=job_id):
        try:
            yield settled
        except StaleJobError:
            log.info("somebody else moved the job first")
        except (TransientError, StoreRefusedError) as exc:
            log.warning("giving the delivery back", reason=str(exc))
            settled.disposition = Disposition.REQUEUE
