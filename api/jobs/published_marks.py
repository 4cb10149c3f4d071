"""Record which messages reached the queue, after the requests were answered."""

import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from common.errors import StoreRefusedError, StoreUnavailableError
from common.jobs import Job
from common.ports.jobs import JobStore

log = structlog.stdlib.get_logger(__name__)

_PAUSE_S: Final = 0.1
_END_WITHIN_S: Final = 1.0


class PublishedMarks:
    """Records what was published, in a thread of its own; jobs that come together share a write.

    No client waits for it. Until then the job is in the outbox: if this process or the store dies
    first, the courier publishes again.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._published = SimpleQueue[Job | None]()
        self._thread = threading.Thread(target=self._run, name="published-marks", daemon=True)
        self._thread.start()

    def note(self, job: Job) -> None:
        """Record soon that the message of *job* reached the queue."""
        self._published.put(job)

    def close(self) -> None:
        """Record what is left, and end the thread without waiting for a silent store."""
        self._published.put(None)
        self._thread.join(_END_WITHIN_S)

    def _run(self) -> None:
        while (job := self._published.get()) is not None:
            time.sleep(_PAUSE_S)  # for others to come along
            jobs = [job, *self._waiting()]
            try:
                self._store.mark_published(*jobs)
            except (StoreUnavailableError, StoreRefusedError) as exc:
                log.warning(
                    "could not record publications; the courier publishes the jobs again",
                    jobs=len(jobs),
                    reason=str(exc),
                )

    def _waiting(self) -> Iterator[Job]:
        while True:
            try:
                job = self._published.get_nowait()
            except Empty:
                return
            if job is None:
                self._published.put(None)  # the end comes after these
                return
            yield job
