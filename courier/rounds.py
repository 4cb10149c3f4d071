"""Duties in rounds, until the process stops."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from common.errors import StoreRefusedError, TransientError

log = structlog.stdlib.get_logger(__name__)

Duty = Callable[[], object]

_PAUSE_S: Final = 1.0
_REPEAT_AFTER_S: Final = 60.0


def repeat(stopping: threading.Event, duties: Sequence[Duty], *, pause_s: float = _PAUSE_S) -> None:
    """Do *duties* in rounds, *pause_s* apart. One that fails does not delay the others."""
    warnings = [_Warnings() for _ in duties]
    while not stopping.is_set():
        for duty, warned in zip(duties, warnings, strict=True):
            if stopping.is_set():
                return
            try:
                duty()
            except (TransientError, StoreRefusedError) as exc:
                warned.warn(str(exc))
            else:
                warned.forget()
        stopping.wait(pause_s)


class _Warnings:
    """Logs why a duty fails: at once when the reason changes, else once a minute."""

    def __init__(self) -> None:
        self._reason = ""
        self._due_s = 0.0

    def warn(self, reason: str) -> None:
        now_s = time.monotonic()
        if reason == self._reason and now_s < self._due_s:
            return
        self._reason, self._due_s = reason, now_s + _REPEAT_AFTER_S
        log.warning("round ended early; continuing in the next", reason=reason)

    def forget(self) -> None:
        self._reason = ""


def once(duty: Duty) -> Duty:
    """Make a duty that is skipped once it has succeeded."""
    return every(float("inf"), duty)


def every(interval_s: float, duty: Duty) -> Duty:
    """Make a duty that rests for *interval_s* each time it has succeeded."""
    rested_until_s = 0.0

    def if_due() -> None:
        nonlocal rested_until_s
        if time.monotonic() >= rested_until_s:
            duty()
            rested_until_s = time.monotonic() + interval_s

    return if_due


class Rounds:
    """Rounds in a thread of their own, for duties that may block.

    The process ends without waiting for the thread, which a frozen server may block.

    Args:
        name: Of the thread.
        stopping: Ends the rounds.
        duties: What to do in each.
        at_end: What to do after the last.
    """

    def __init__(
        self,
        name: str,
        stopping: threading.Event,
        duties: Sequence[Duty],
        *,
        at_end: Duty = lambda: None,
    ) -> None:
        self._stopping = stopping
        self._duties = duties
        self._at_end = at_end
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise the error that ended the rounds, if one did: a bug."""
        if self._error is not None:
            raise self._error

    def join(self, timeout_s: float) -> None:
        """Wait for the end of the last round."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            repeat(self._stopping, self._duties)
            self._at_end()
        except Exception as exc:  # noqa: BLE001 (the outermost edge of this thread)
            self._error = exc
