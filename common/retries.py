"""Repeat a call with growing pauses until it works or the process stops."""

import threading

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

log = structlog.stdlib.get_logger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_JITTER_S = 0.2  # so that many processes do not come back at the same moment


def until_stopped(stopping: threading.Event, *errors: type[Exception]) -> Retrying:
    """Make a caller that repeats a call as long as it raises one of *errors*.

    Once *stopping* is set it raises the last error instead of trying again.
    """
    return Retrying(
        retry=retry_if_exception_type(errors),
        wait=wait_exponential_jitter(
            multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S, jitter=_JITTER_S
        ),
        stop=stop_when_event_set(stopping),
        sleep=sleep_using_event(stopping),
        before_sleep=_log_failure,
        reraise=True,
    )


def _log_failure(state: RetryCallState) -> None:
    error = None if state.outcome is None else state.outcome.exception()
    # After the first failure, one line in ten is enough to show that it continues.
    if state.attempt_number % 10 == 1:
        log.warning("retrying until it works", error=repr(error), tries=state.attempt_number)
