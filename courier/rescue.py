"""Give the jobs of dead consumers to others."""

import time

import structlog

from common.errors import StaleJobError
from common.jobs import Job, JobId
from common.ports import Outbox, WorkerRegistry
from common.problems import OWNER_DIED

log = structlog.stdlib.get_logger(__name__)


class Rescuer:
    """Finds jobs whose owner is dead, and gives them back.

    After an outage of the store every heartbeat is old, and the living need a moment to say
    so. An owner therefore counts as dead only when it stayed silent for *confirm_s* while
    this process watched.
    """

    def __init__(
        self,
        outbox: Outbox,
        registry: WorkerRegistry,
        *,
        max_attempts: int,
        confirm_s: float,
    ) -> None:
        self._outbox = outbox
        self._registry = registry
        self._max_attempts = max_attempts
        self._confirm_s = confirm_s
        self._suspected_s: dict[tuple[JobId, int], float] = {}

    def rescue(self) -> int:
        """Give back what dead consumers hold; return how many jobs that were.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        # In this order: a worker registers before it claims, so the owner of a job found
        # now is among the living read after, or is dead.
        held = list(self._outbox.processing())
        living = {worker.worker_id for worker in self._registry.living()} if held else set()
        orphans = {(job.job_id, job.fence): job for job in held if job.owner not in living}
        now_s = time.monotonic()
        self._suspected_s = {key: self._suspected_s.get(key, now_s) for key in orphans}
        confirmed = [
            job for key, job in orphans.items() if now_s - self._suspected_s[key] >= self._confirm_s
        ]
        return sum(map(self._give_back, confirmed))

    def _give_back(self, job: Job) -> bool:
        given_back = job.give_back(OWNER_DIED, max_attempts=self._max_attempts)
        try:
            self._outbox.save(given_back, previous=job)
        except StaleJobError:  # its owner lives after all, or another courier was first
            return False
        log.warning("rescued", job_id=job.job_id, owner=job.owner, state=given_back.state.value)
        return True
