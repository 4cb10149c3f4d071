"""What is done with a delivery: the decision, free of AMQP and of torch."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import structlog
from tenacity import Retrying

from common.errors import MalformedMessageError, StaleJobError, TransientError
from common.jobs import Job, JobState, OwnerId, Result
from common.messages import ClassifyMessage
from common.ports import JobStore
from common.problems import failure
from consumer.errors import EngineLostError
from consumer.protocol import Question, Refusal, Reply

log = structlog.stdlib.get_logger(__name__)


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

    def ask(self, question: Question) -> Reply:
        """Classify one image.

        Raises:
            EngineLostError: The engine did not survive it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Turns deliveries into saved results.

    Args:
        owner: The id of this process; new at every start.
        max_attempts: Claims after which a job is failed.
        patiently: Repeats a call while the store is away. Meanwhile the delivery is held,
            not given back: it would come round in a loop, and a result would be lost.
    """

    store: JobStore
    classifier: Classifier
    owner: OwnerId
    max_attempts: int
    patiently: Retrying

    def handle(self, body: bytes) -> Disposition:
        """Classify the image that *body* names, and save the outcome.

        Safe to repeat: the same body may be delivered any number of times.
        """
        try:
            message = ClassifyMessage.decode(body)
        except MalformedMessageError as exc:
            log.error("dead-lettering a malformed message", reason=str(exc))  # noqa: TRY400
            return Disposition.DEAD_LETTER
        with structlog.contextvars.bound_contextvars(job_id=message.id):
            try:
                self._work(message)
            except StaleJobError:
                log.info("somebody else moved the job first")
            except TransientError as exc:
                log.warning("giving the delivery back", reason=str(exc))
                return Disposition.REQUEUE
        return Disposition.ACK

    def _work(self, message: ClassifyMessage) -> None:
        # Before the claim, so that an engine which is still loading costs no attempt.
        self.classifier.wait_until_ready()
        job = self._claim(message)
        if job is None:
            return
        image = self.patiently(self.store.image, job.job_id)
        if image is None:
            gone = failure("image-gone", "The image is gone", "Its bytes are not in the store.")
            moved = job.fail(gone)
        else:
            moved = self._classify(job, image)
        self.patiently(self.store.save, moved, previous=job)
        log.info("finished" if moved.is_finished else "given back", state=moved.state.value)

    def _claim(self, message: ClassifyMessage) -> Job | None:
        """Claim the job that *message* names; None if there is nothing to do for it."""
        job = self.patiently(self.store.claim, message.id, fence=message.fence, owner=self.owner)
        if job is not None:
            return job
        found = self.patiently(self.store.get, message.id)
        if found is None:
            log.info("dropped: the job is unknown or expired")
            return None
        if found.state is not JobState.PROCESSING:
            log.info("dropped: the job has moved on", state=found.state.value)
            return None
        if found.owner == self.owner and found.fence == message.fence + 1:
            return found  # our own claim, whose answer was lost on the way
        # Its owner may be dead, but only the courier can tell that from an outage.
        log.info("dropped: another consumer has it", owner=found.owner)
        return None

    def _classify(self, job: Job, image: bytes) -> Job:
        try:
            reply = self.classifier.ask(Question(job.job_id, image, job.model, job.top_k))
        except EngineLostError as exc:
            reason = failure(exc.problem, exc.title, f"It {exc}.")
            return job.give_back(reason, max_attempts=self.max_attempts)
        if isinstance(reply, Refusal):
            return job.fail(reply.reason)
        return job.succeed(
            Result(
                predictions=reply.predictions,
                model=job.model,
                model_version=reply.model_version,
                queue_ms=round(job.queue_ms, 3),
                inference_ms=reply.inference_ms,
            )
        )
