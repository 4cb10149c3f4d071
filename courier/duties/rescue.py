"""Give the jobs of dead and of stuck consumers to others."""

import time
from collections.abc import Callable, Set
from dataclasses import dataclass, field

import structlog

from common.errors import StaleJobError, StoreRefusedError
from common.jobs import Failure, Job, JobId, OwnerId
from common.ports.outbox import Outbox
from common.ports.workers import WorkerRegistry
from common.problems.failures import OWNER_DIED, OWNER_STUCK

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Rescuer:
    """Finds jobs whose owner is dead, or far too slow, and gives them back.

    After an outage of the store every heartbeat is old, and living consumers need a moment to beat
    again and to save their results. So a job is given back only *confirm_s* after this process
    first suspected its owner.

    Args:
        outbox: The jobs.
        registry: The living consumers.
        now_ms: The store's clock, in milliseconds since 1970.
        max_attempts: Claims after which a job is failed instead.
        overdue_s: An owner that takes longer is stuck, whether it sends heartbeats or not.
        confirm_s: How long a suspicion must last.
    """

    outbox: Outbox
    registry: WorkerRegistry
    now_ms: Callable[[], int]
    max_attempts: int
    overdue_s: float
    confirm_s: float
    _suspected_s: dict[tuple[JobId, int], float] = field(default_factory=dict, init=False)

    def rescue(self) -> int:
        """Give back the jobs of dead and stuck consumers; return how many.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        # In this order: a worker registers before it claims, so the owner of a job found
        # now is among the living read after, or is dead.
        held = list(self.outbox.processing())
        living = {worker.worker_id for worker in self.registry.living()} if held else set()
        suspects = {
            (job.job_id, job.fence): (job, reason)
            for job in held
            if (reason := self._suspicion(job, living)) is not None
        }
        now_s = time.monotonic()
        self._suspected_s = {key: self._suspected_s.get(key, now_s) for key in suspects}
        confirmed = [
            suspect
            for key, suspect in suspects.items()
            if now_s - self._suspected_s[key] >= self.confirm_s
        ]
        return sum(self._give_back(job, reason) for job, reason in confirmed)

    def _suspicion(self, job: Job, living: Set[OwnerId]) -> Failure | None:
        if job.owner not in living:
            return OWNER_DIED
        if job.started_at is None:
            return None
        held_s = self.now_ms() / 1000 - job.started_at.timestamp()
        return OWNER_STUCK if held_s > self.overdue_s else None

    def _give_back(self, job: Job, reason: Failure) -> bool:
        given_back = job.give_back(reason, max_attempts=self.max_attempts)
        try:
            self.outbox.save(given_back, previous=job)
        except StaleJobError:  # its owner was done after all, or another courier was first
            return False
        except StoreRefusedError as exc:
            log.error("not rescued", job_id=job.job_id, reason=str(exc))  # noqa: TRY400
            return False
        log.warning("rescued", job_id=job.job_id, reason=reason.title, state=given_back.state.value)
        return True
