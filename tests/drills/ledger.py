"""Every accepted job, and its expected end."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from testbed.echo import Expectation


@dataclass(slots=True)
class Ledger:
    """The accepted jobs by id. Thread-safe."""

    expected: dict[str, Expectation] = field(default_factory=dict)
    # For one idempotency key there may be one job only.
    _job_of_key: dict[str, str] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)
    retried: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 2**24)))

    @property
    def keys(self) -> int:
        """How many submissions were accepted, however often each was repeated."""
        return len(self._job_of_key)

    def next_number(self) -> int:
        """Return a number that no other image of this drill has."""
        with self._lock:
            return next(self._numbers)

    def accepted(self, job_id: str, key: str, expectation: Expectation) -> None:
        """Record that a submission with *key* was answered with *job_id*."""
        with self._lock:
            known = self._job_of_key.setdefault(key, job_id)
            if known != job_id:
                self.doubles.append(f"key {key} has the jobs {known} and {job_id}")
            self.expected[job_id] = expectation

    def may_end(self, job_id: str, *states: str) -> None:
        """Allow more ends for a job that was changed."""
        with self._lock:
            expectation = self.expected[job_id]
            self.expected[job_id] = replace(expectation, states=expectation.states | set(states))

    def will_retry(self, job_id: str) -> None:
        """Record that a failed job is about to be retried, and may end once more."""
        with self._lock:
            self.retried.add(job_id)
