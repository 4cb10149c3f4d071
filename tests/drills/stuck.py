"""A drill with consumers that stand still for longer than their lease, and come back."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pymongo.collection import Collection

from tests.drills.drill import Drill, Run
from tests.drills.images import Order
from tests.drills.system import Plan, engines_of
from tests.servers import Server
from tests.waiting import wait_for

Document = dict[str, Any]

_CONSUMERS: Final = 3
_ZOMBIES: Final = 2
_ROUNDS: Final = 2
# Time enough to stop the consumer in.
_SHORTEST_S, _LONGEST_S = 1.0, 2.0
_WITHIN_S: Final = 40.0
_DIED: Final = "urn:darkroom:problem:consumer-died"


@dataclass(slots=True)
class _Zombie:
    """A consumer that was stopped, its engine with it, in the middle of a job."""

    consumer: Server
    job_id: str
    fence: int
    processes: list[int]
    _said_bytes: int = field(default=0, init=False)

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)
        self._said_bytes = len(self.consumer.printed())

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def has_spoken(self) -> bool:
        """Tell whether it has logged, since it was stopped, what became of its job."""
        return self.job_id.encode() in self.consumer.printed()[self._said_bytes :]

    def _signal(self, number: int) -> None:
        for pid in self.processes:
            with suppress(ProcessLookupError):  # the engine was renewed, just now
                os.kill(pid, number)


@dataclass(frozen=True, slots=True)
class _Hunt:
    """Finds who holds a job, and stops it."""

    run: Run
    jobs: Collection[Document]

    def stop_one(self) -> _Zombie:
        """Stop a consumer in the middle of a new job."""
        while True:
            wait_s = self.run.chance.uniform(_SHORTEST_S, _LONGEST_S)
            job_id = self.run.clients.submit(Order.WAIT, round(wait_s * 100))
            if (zombie := self.stop_holder(job_id)) is not None:
                return zombie

    def stop_holder(self, job_id: str, *, after: int = -1) -> _Zombie | None:
        """Stop who claims a job after the fence *after*; None if the job ended just then."""
        wait_for(
            lambda: self._held(job_id, after) or self.run.witness.has_ended(job_id),
            within_s=_WITHIN_S,
            what="somebody claims the job",
        )
        if (job := self._held(job_id, after)) is None:
            return None
        consumer = self.run.system.owner_of(job)
        zombie = _Zombie(consumer, job_id, job["fence"], [consumer.pid, *engines_of(consumer)])
        zombie.stop()
        if self._held(job_id, after) is None:
            zombie.wake()
            return None
        return zombie

    def _held(self, job_id: str, after: int) -> Document | None:
        wanted = {"_id": job_id, "state": "processing", "fence": {"$gt": after}}
        return self.jobs.find_one(wanted)


def _wake_the_dead(run: Run) -> None:
    """Let consumers come back whose jobs were done by others, or failed and were retried."""
    with run.system.database() as database:
        hunt = _Hunt(run, database["jobs"])
        for _ in range(_ROUNDS):
            _outlive(hunt)
            _outlive_a_retry(hunt)


def _outlive(hunt: _Hunt) -> None:
    """Have the jobs of zombies done by who is left."""
    with _awake_at_the_end() as zombies:
        while len(zombies) < _ZOMBIES:
            zombies.append(hunt.stop_one())
        _wait_for_ends(hunt.run, [zombie.job_id for zombie in zombies])
    _let_speak(hunt.run, zombies)


def _outlive_a_retry(hunt: _Hunt) -> None:
    """Have a job fail in the hands of zombies, one an attempt, and then be retried."""
    with _awake_at_the_end() as zombies:
        zombies.append(hunt.stop_one())
        job_id = zombies[0].job_id
        while len(zombies) < _ZOMBIES:
            zombie = hunt.stop_holder(job_id, after=zombies[-1].fence)
            assert zombie is not None, "the job ended before its next consumer could be stopped"
            zombies.append(zombie)
        _wait_for_ends(hunt.run, [job_id])
        failed = hunt.jobs.find_one({"_id": job_id, "state": "failed", "error.type": _DIED})
        hunt.run.expect(failed, f"{job_id} has not failed for the death of its consumers")
        hunt.run.expect(hunt.run.clients.retry(job_id), f"{job_id} could not be retried")
        _wait_for_ends(hunt.run, [job_id], ends=2)
    _let_speak(hunt.run, zombies)


@contextmanager
def _awake_at_the_end() -> Iterator[list[_Zombie]]:
    """Collect zombies, and wake them at the end of the block, also if it fails."""
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
    run.notes["zombies"] = run.notes.get("zombies", 0) + len(zombies)


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
