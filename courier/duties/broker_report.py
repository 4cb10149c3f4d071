"""Report to the API what is wrong with RabbitMQ."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from common.ports.evidence import BrokerEvidence


@dataclass(slots=True, kw_only=True)
class BrokerReport:
    """Records the trouble whenever it changes, and otherwise often enough to stay valid.

    Args:
        evidence: Where it is recorded.
        trouble: Returns what is wrong now; empty if nothing is.
        interval_s: How long an unchanged report stays valid.
        clock_s: A clock that never goes back.
    """

    evidence: BrokerEvidence
    trouble: Callable[[], str]
    interval_s: float
    clock_s: Callable[[], float] = time.monotonic
    _reported: str | None = field(default=None, init=False)
    _due_s: float = field(default=0.0, init=False)

    def report(self) -> None:
        """Record it, if it is due.

        Raises:
            StoreUnavailableError: The store does not take it; the next round tries again.
        """
        trouble, now_s = self.trouble(), self.clock_s()
        if trouble == self._reported and now_s < self._due_s:
            return
        self.evidence.note(trouble)
        self._reported, self._due_s = trouble, now_s + self.interval_s
