"""A drill with consumers that freeze for longer than their lease, and come back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pymongo.collection import Collection

from testbed.echo import Order
from testbed.processes import engines_of, stand_still
from testbed.server import Server
from testbed.system import Plan
from testbed.waiting import wait_for
from tests.drills.drill import Drill, Run

Document = dict[str, Any]

_CONSUMERS: Final = 3
_ZOMBIES: Final = 2
_ROUNDS: Final = 2
# Time enough to stop the consumer in. If a machine is too slow for that, the harm is tried again.
_SHORTEST_S, _LONGEST_S = 1.0, 2.0
_WITHIN_S: Final = 120.0
_TRIES_WITHIN_S: Final = 400.0
_DIED: Final = "urn:darkroom:problem:consumer-died"


@dataclass(slots=True)
class _Zombie:
    """A consumer that was frozen with its engine in the middle of a job."""

    consumer: Server
    job_id: str
    fence: int
    processes: list[int]
    _said_bytes: int = field(default=0, init=False)

    def stop(self) -> None:
        for pid in self.processes:
            with suppress(ProcessLookupError):  # the engine was renewed, just now
                stand_still(pid)
        self._said_bytes = len(self.consumer.printed())

    def wake(self) -> None:
        for pid in self.processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def has_spoken(self) -> bool:
        """Return whether it has logged the end of its job since it was frozen."""
        return self.job_id.encode() in self.consumer.printed()[self._said_bytes :]


@dataclass(frozen=True, slots=True)
class _Hunt:
    """Finds the consumer of a job, and freezes it."""

    run: Run
    jobs: Collection[Document]

    def submit(self) -> str:
        """Submit a slow job; return its id once it is claimed."""
        wait_s = self.run.chance.uniform(_SHORTEST_S, _LONGEST_S)
        job_id = self.run.clients.submit(Order.WAIT, round(wait_s * 100))
        self._wait_until_claimed(job_id)
        return job_id

    def stop_holder(self, job_id: str, *, after: int = -1) -> _Zombie | None:
        """Freeze who claims a job after the fence *after*; None if the job ended before."""
        self._wait_until_claimed(job_id, after=after)
        if (job := self._held(job_id, after)) is None:
            return None
        consumer = self.run.system.owner_of(job)
        zombie = _Zombie(consumer, job_id, job["fence"], [consumer.pid, *engines_of(consumer.pid)])
        zombie.stop()
        if self._held(job_id, after) is None:
            zombie.wake()
            return None
        return zombie

    def is_left_to(self, zombie: _Zombie) -> bool:
        """Return whether its job is still its own: not claimed by another, and not ended."""
        job = self._held(zombie.job_id, zombie.fence - 1)
        return job is not None and job["fence"] == zombie.fence

    def _wait_until_claimed(self, job_id: str, *, after: int = -1) -> None:
        wait_for(
            lambda: self._held(job_id, after) or self.run.witness.has_ended(job_id),
            within_s=_WITHIN_S,
            what="somebody claims the job",
        )

    def _held(self, job_id: str, after: int) -> Document | None:
        wanted = {"_id": job_id, "state": "processing", "fence": {"$gt": after}}
        return self.jobs.find_one(wanted)


def _wake_the_dead(run: Run) -> None:
    """Wake consumers whose jobs others have done, or which have failed and been retried."""
    with run.system.database() as database:
        hunt = _Hunt(run, database["jobs"])
        for _ in range(_ROUNDS):
            for harm in (_outlive, _outlive_a_retry):
                # Until it did not come too late.
                wait_for(partial(harm, hunt), within_s=_TRIES_WITHIN_S, what=harm.__name__)
                run.notes["zombies"] = run.notes.get("zombies", 0) + _ZOMBIES


def _outlive(hunt: _Hunt) -> bool:
    """See other consumers do the jobs of zombies; False if one was not frozen in time."""
    with _awake_at_the_end() as zombies:
        job_ids = [hunt.submit() for _ in range(_ZOMBIES)]
        zombies.extend(filter(None, map(hunt.stop_holder, job_ids)))
        # With two jobs in hand at its stop, one of them its second, a zombie would cost that all
        # its attempts.
        holders = {zombie.consumer for zombie in zombies if hunt.is_left_to(zombie)}
        if len(holders) == _ZOMBIES:
            _wait_for_ends(hunt.run, job_ids)
    _wait_for_ends(hunt.run, job_ids)
    _let_speak(hunt.run, zombies)
    return len(holders) == _ZOMBIES


def _outlive_a_retry(hunt: _Hunt) -> bool:
    """Let a job fail with zombies, one per attempt, and then retry it.

    Returns:
        False if one of them was not stopped in time.
    """
    with _awake_at_the_end() as zombies:
        job_id = hunt.submit()
        fence = -1
        while len(zombies) < _ZOMBIES:
            if (zombie := hunt.stop_holder(job_id, after=fence)) is None:
                break
            zombies.append(zombie)
            fence = zombie.fence
        has_failed = len(zombies) == _ZOMBIES and _fails(hunt, job_id)
        if has_failed:
            hunt.run.expect(hunt.run.clients.retry(job_id), f"{job_id} could not be retried")
            _wait_for_ends(hunt.run, [job_id], ends=2)
    _wait_for_ends(hunt.run, [job_id])
    _let_speak(hunt.run, zombies)
    return has_failed


def _fails(hunt: _Hunt, job_id: str) -> bool:
    """Wait until a job has failed; False if its answer was already on its way to the store."""
    _wait_for_ends(hunt.run, [job_id])
    job = hunt.jobs.find_one({"_id": job_id}) or {}
    if job["state"] == "done" and job["attempts"] <= _ZOMBIES:
        return False
    hunt.run.expect(
        job["state"] == "failed" and job["error"]["type"] == _DIED,
        f"{job_id} has not failed for the death of its consumers",
    )
    return True


@contextmanager
def _awake_at_the_end() -> Iterator[list[_Zombie]]:
    """Collect zombies, and wake them at the end of the block, even if it fails."""
    zombies: list[_Zombie] = []
    try:
        yield zombies
    finally:
        for zombie in zombies:
            zombie.wake()


def _wait_for_ends(run: Run, job_ids: list[str], *, ends: int = 1) -> None:
    wait_for(
        lambda: all(run.witness.ends_of(job_id) >= ends for job_id in job_ids),
        within_s=_WITHIN_S,
        what="the jobs of consumers that stand still end without them",
    )


def _let_speak(run: Run, zombies: list[_Zombie]) -> None:
    """Wait until each has tried to save its old answer."""
    wait_for(
        lambda: all(zombie.has_spoken() for zombie in zombies),
        within_s=_WITHIN_S,
        what="the consumers that came back say what became of their jobs",
    )


DRILLS = (
    Drill(
        name="zombie",
        harm=f"consumers stopped (SIGSTOP) with their engines for longer than their lease, "
        f"{_ZOMBIES} of {_CONSUMERS} at once, until others have done their jobs, also by a retry",
        do=_wake_the_dead,
        # A consumer that stands still is delivered one more, which nobody claims.
        loses_messages=True,
        plan=Plan(
            consumers=_CONSUMERS,
            settings={
                "DARKROOM_MAX_ATTEMPTS": str(_ZOMBIES),
                # Or the engine would be killed before it tells its old answer.
                "DARKROOM_JOB_TIME_LIMIT_S": "120",
            },
        ),
    ),
)
