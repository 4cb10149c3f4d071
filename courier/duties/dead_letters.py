"""Settle what RabbitMQ could not deliver."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

from common.errors import (
    MalformedMessageError,
    StaleJobError,
    StoreRefusedError,
    UnreadableRecordError,
)
from common.jobs import Job, JobState
from common.messages import ClassifyMessage
from common.ports.outbox import Outbox
from common.ports.queues import DeadLetter, DeadLetterQueue
from common.problems import failures
from courier.duties.lost_messages import pause_s

log = structlog.stdlib.get_logger(__name__)

# Only this reason is a consumer's verdict on the message. The others (delivery_limit, expired,
# maxlen) concern the queue, not the job.
_REJECTED: Final = "rejected"

_LOGGED_BYTES: Final = 200


class Settlement(StrEnum):
    """What became of a dead letter."""

    MALFORMED = "malformed"
    FAILED = "failed"
    PUBLISHED_AGAIN = "published_again"
    UNREADABLE = (
        "unreadable"  # only another version can read its job, and will publish it from the record
    )
    DROPPED = "dropped"  # its job has moved on, or has another message under way
    REFUSED = "refused"  # the store refused to settle it; its message will count as lost


@dataclass(slots=True, kw_only=True)
class DeadLetters:
    """Fails the jobs whose messages were rejected, and lets the others be published again.

    Args:
        queue: Where they lie.
        outbox: The jobs.
        lease_s: The first pause of a job whose message dies more than once.
        at_most: How many a round.
        totals: What became of all of them, since the start of this process.
    """

    queue: DeadLetterQueue
    outbox: Outbox
    lease_s: float
    at_most: int
    totals: Counter[Settlement] = field(default_factory=Counter)

    def settle(self) -> int:
        """Settle some; return how many.

        Raises:
            BrokerUnavailableError: RabbitMQ does not answer.
            StoreUnavailableError: Nor does the store; RabbitMQ keeps the letter.
        """
        for count in range(self.at_most):
            with self.queue.dead_letter() as letter:
                if letter is None:
                    return count
                self._note(letter, self._settled(letter))
        return self.at_most

    def _settled(self, letter: DeadLetter) -> Settlement:
        try:
            return self._settle(letter)
        except StoreRefusedError as exc:  # the letters behind it must not wait for it
            log.error("the store refused to record a dead letter", reason=str(exc))  # noqa: TRY400
            return Settlement.REFUSED

    def _note(self, letter: DeadLetter, outcome: Settlement) -> None:
        self.totals[outcome] += 1
        log.warning(
            "a dead letter",
            outcome=outcome.value,
            reason=letter.reason,
            body=repr(letter.body[:_LOGGED_BYTES]),
            totals={each.value: count for each, count in self.totals.items()},
        )

    def _settle(self, letter: DeadLetter) -> Settlement:
        try:
            message = ClassifyMessage.decode(letter.body)
        except MalformedMessageError:
            return Settlement.MALFORMED
        try:
            job = self.outbox.get(message.id)
        except UnreadableRecordError:
            return Settlement.UNREADABLE
        if job is None or job.state is not JobState.PENDING or job.fence != message.fence:
            return Settlement.DROPPED
        if letter.reason == _REJECTED:
            return self._fail(job)
        after_s = pause_s(job.republished, lease_s=self.lease_s)
        if self.outbox.publish_again(job, after_s=after_s):
            return Settlement.PUBLISHED_AGAIN
        return Settlement.DROPPED

    def _fail(self, job: Job) -> Settlement:
        error = failures.DEAD_LETTERED.failure(
            f"A consumer refused the message of this job ({_REJECTED}).",
        )
        try:
            self.outbox.save(job.fail(error), previous=job)
        except StaleJobError:  # another message of the job was taken meanwhile
            return Settlement.DROPPED
        return Settlement.FAILED
