"""Requests that wait for the end of a job: ``?wait=n`` and ``Prefer: wait=n`` (RFC 7240)."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flask import Request
from werkzeug.http import parse_list_header

from api.jobs.lookup import find_job
from api.problems import invalid_field
from common.jobs import Job
from common.ports.jobs import JobStore

PREFERENCE: Final = "wait"

# A read costs a millisecond of processor time, most of it the store's, which the engine could
# use. So the first read comes when a small model may be done, and later reads delay an answer
# by at most a tenth of the time that the client has waited.
_FIRST_PAUSE_S: Final = 0.02
_SHORTEST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.1
_PAUSE_SHARE: Final = 0.1

_SECONDS: Final = re.compile("[0-9]{1,9}")


class Waits:
    """Lets requests wait for jobs: at most half of those that a process can answer at once.

    A waiting request occupies a thread; the other half stays free for other requests.

    Args:
        store: Read again and again.
        longest_s: No request waits longer.
        threads: Returns how many requests this process answers at once.
        is_stopping: Returns whether the process stops; then waits end.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        longest_s: int,
        threads: Callable[[], int],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self.longest_s = longest_s
        self._threads = threads
        self._is_stopping = is_stopping
        self._lock = threading.Lock()
        self._waiting = 0

    def until_finished(self, job: Job, *, at_most_s: int | None) -> Job | None:
        """Return the job once it has ended, at the latest after *at_most_s*.

        None if the request does not ask to wait, or too many others wait.

        Raises:
            ProblemError: It was deleted meanwhile (404).
            StoreUnavailableError: Its state is unknown.
        """
        if at_most_s is None:
            return None
        if job.is_finished:
            return job
        if not self._begin():
            return None
        try:
            return self._watch(job, min(at_most_s, self.longest_s))
        finally:
            self._end()

    def _watch(self, job: Job, at_most_s: int) -> Job:
        started_s = time.monotonic()
        waited_s, pause_s = 0.0, _FIRST_PAUSE_S
        while waited_s < at_most_s and not self._is_stopping():
            time.sleep(min(pause_s, at_most_s - waited_s))
            job = find_job(self._store, job.job_id)
            waited_s = time.monotonic() - started_s
            if job.is_finished:
                break
            pause_s = min(max(_SHORTEST_PAUSE_S, waited_s * _PAUSE_SHARE), _LONGEST_PAUSE_S)
        return job

    def _begin(self) -> bool:
        with self._lock:
            has_room = self._waiting < self._threads() // 2
            self._waiting += has_room
        return has_room

    def _end(self) -> None:
        with self._lock:
            self._waiting -= 1


@dataclass(frozen=True, slots=True)
class AskedWait:
    """How long a request wants to wait.

    Args:
        seconds: None if it does not ask.
        is_preferred: Whether it asks with ``Prefer``; the answer shows what was applied.
    """

    seconds: int | None
    is_preferred: bool


def asked_wait(request: Request, *, most_s: int, most_preferred_s: int) -> AskedWait:
    """Return how long *request* wants to wait; the query overrides the preference.

    Args:
        request: With ``?wait=n``, or with ``Prefer: wait=n``.
        most_s: The most that the query may ask for.
        most_preferred_s: The limit that a longer preference is shortened to.

    Raises:
        ProblemError: The query does not have a number of seconds from 0 to *most_s* (422).
    """
    in_query_s = _in_query_s(request, most_s)
    if in_query_s is not None:
        return AskedWait(in_query_s, is_preferred=False)
    return AskedWait(_preferred_s(request, most_preferred_s), is_preferred=True)


def _in_query_s(request: Request, most_s: int) -> int | None:
    asked = request.args.get(PREFERENCE)
    if asked is None:
        return None
    if not _SECONDS.fullmatch(asked) or int(asked) > most_s:
        message = f"must be a whole number of seconds, from 0 to {most_s}"
        raise invalid_field(PREFERENCE, message)
    return int(asked)


def _preferred_s(request: Request, most_s: int) -> int | None:
    """Return the client's preference; None if it is not clear, as in RFC 7240."""
    preferences = parse_list_header(",".join(request.headers.getlist("Prefer")))
    for preference in preferences:
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == PREFERENCE:  # the first counts, whatever it says
            value = value.strip().strip('"')
            return min(int(value), most_s) if _SECONDS.fullmatch(value) else None
    return None
