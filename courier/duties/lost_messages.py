"""Publish again the jobs whose messages have left the queue: on evidence, never by age.

However long a job has waited, others may be before it. Three things prove that its message is
gone: the queue is missing; the queue is empty; or a job that was published clearly later has
been claimed first, since the queue keeps the order. Each of them gives a time: messages that were
queued before it and have not been claimed are gone.

The proofs are wrong about a delivery that a consumer holds and has not claimed yet. The second
message is dropped.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from common.errors import DarkroomError, StoreRefusedError
from common.jobs import Job
from common.ports.outbox import Outbox
from common.ports.queues import WatchedQueue

log = structlog.stdlib.get_logger(__name__)

_LONGEST_PAUSE_S: Final = 600.0
_MOST_DOUBLINGS: Final = 20


def pause_s(republished: int, *, lease_s: float) -> float:
    """Return how long to wait before publishing a job again that was lost *republished* times.

    It doubles, so that whatever removes the messages is not fed at full speed.
    """
    if republished == 0:
        return 0.0
    doublings = min(republished - 1, _MOST_DOUBLINGS)
    return min(lease_s * 2.0**doublings, max(lease_s, _LONGEST_PAUSE_S))


class Evidence:
    """The time before which every waiting message is proven gone. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before_ms: int | None = None

    @property
    def before_ms(self) -> int | None:
        return self._before_ms

    def note(self, before_ms: int) -> None:
        """Record that every message queued before a time is gone."""
        with self._lock:
            if self._before_ms is None or self._before_ms < before_ms:
                self._before_ms = before_ms

    def forget(self, before_ms: int) -> None:
        """Drop what was recorded, unless a later time has been recorded since."""
        with self._lock:
            if self._before_ms == before_ms:
                self._before_ms = None


@dataclass(slots=True, kw_only=True)
class QueueWatch:
    """Watches whether the queue exists and whether it is empty.

    A single empty reading proves nothing: a quorum queue without a leader seems empty, too.

    Args:
        queue: What is looked at.
        evidence: Where to record what that proves.
        now_ms: The store's clock, in milliseconds since 1970.
        lease_s: How long every reading must have been empty.
    """

    queue: WatchedQueue
    evidence: Evidence
    now_ms: Callable[[], int]
    lease_s: float
    _empty_ms: deque[int] = field(default_factory=deque, init=False)

    def look(self) -> None:
        """Read the depth of the queue once.

        Raises:
            BrokerUnavailableError: RabbitMQ does not say.
            StoreUnavailableError: Nor does the store tell the time.
        """
        try:
            # Before the look: what is queued during it may be there already, or not yet.
            looked_ms = self.now_ms()
            depth = self.queue.depth()
        except DarkroomError:
            self._empty_ms.clear()
            raise
        if not (depth.ready or depth.is_new):
            self._note_empty(looked_ms)
            return
        self._empty_ms.clear()
        if depth.is_new:
            self.evidence.note(looked_ms)

    def _note_empty(self, looked_ms: int) -> None:
        lease_ms = int(self.lease_s * 1000)
        if self._empty_ms and not 0 <= looked_ms - self._empty_ms[-1] <= lease_ms:
            self._empty_ms.clear()  # who knows what was in between
        self._empty_ms.append(looked_ms)
        while looked_ms - self._empty_ms[0] > lease_ms:
            self.evidence.note(self._empty_ms.popleft())


@dataclass(slots=True, kw_only=True)
class LostMessages:
    """Has those jobs published again whose messages are proven gone.

    Args:
        outbox: The jobs.
        evidence: What the watch of the queue has recorded.
        can_publish: Whether RabbitMQ accepts messages. A queue without a leader seems empty and
            accepts none: its messages must not count as lost again and again.
        lease_s: How much later "clearly later" is, and after how long of the store's answering
            all consumers have claimed what they could not while it was away.
        at_most: How many jobs a round.
    """

    outbox: Outbox
    evidence: Evidence
    can_publish: Callable[[], bool]
    lease_s: float
    at_most: int
    clock_s: Callable[[], float] = time.monotonic
    _answering_since_s: float | None = field(default=None, init=False)

    def publish_again(self) -> int:
        """Have some jobs published again; return how many.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        newest_claim_ms = self._ask_for_the_newest_claim()
        if newest_claim_ms is not None:
            self.evidence.note(newest_claim_ms - int(self.lease_s * 1000))
        before_ms = self.evidence.before_ms
        if before_ms is None or not self._can_conclude():
            return 0
        lost = self.outbox.waiting(queued_before_ms=before_ms, at_most=self.at_most)
        if not lost:
            self.evidence.forget(before_ms)
            return 0
        count = sum(self._publish_again(job, before_ms) for job in lost)
        log.warning("publishing lost messages again", jobs=count)
        return count

    def _publish_again(self, job: Job, before_ms: int) -> bool:
        after_s = pause_s(job.republished, lease_s=self.lease_s)
        try:
            return self.outbox.publish_again(job, after_s=after_s, queued_before_ms=before_ms)
        except StoreRefusedError as exc:
            log.error("not published again", job_id=job.job_id, reason=str(exc))  # noqa: TRY400
            return False

    def _ask_for_the_newest_claim(self) -> int | None:
        try:
            newest_claim_ms = self.outbox.newest_claim_ms()
        except DarkroomError:
            self._answering_since_s = None
            raise
        if self._answering_since_s is None:
            self._answering_since_s = self.clock_s()
        return newest_claim_ms

    def _can_conclude(self) -> bool:
        since_s = self._answering_since_s
        return (
            since_s is not None and self.clock_s() - since_s >= self.lease_s and self.can_publish()
        )
