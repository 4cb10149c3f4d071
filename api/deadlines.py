"""Requests that nginx has given up record nothing.

nginx answers 503 if the API takes too long, and the client repeats its request. The API may still
have the first one in its queue; recorded then, it would be a job that nobody asks for.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from api.problems import ProblemError
from common.problems import answers

Check = Callable[[], None]

# By nginx, as variables of the uwsgi protocol: no header of a client can be taken for them.
SENT_AT = "DARKROOM_SENT_AT"
LIMIT_S = "DARKROOM_REQUEST_LIMIT_S"


def unlimited() -> None:
    """Pass: there is no deadline."""


def left_s(environ: Mapping[str, Any], *, margin_s: float) -> float:
    """Return how long the client of this request still waits; for ever without nginx in front.

    Args:
        environ: The WSGI environment of the request.
        margin_s: The time to reserve for what comes afterwards.
    """
    sent_at, limit_s = environ.get(SENT_AT), environ.get(LIMIT_S)
    if not sent_at or not limit_s:
        return math.inf
    # If the store may take as long as nginx waits, requests must not all be refused.
    margin_s = min(margin_s, float(limit_s) / 2)
    # The time of day: nginx is another process, perhaps on another machine.
    return float(sent_at) + float(limit_s) - margin_s - time.time()


def in_time(environ: Mapping[str, Any], *, margin_s: float) -> Check:
    """Make a check that the client of this request still waits.

    Args:
        environ: The WSGI environment of the request.
        margin_s: How long what follows the check may take.
    """
    return lambda: _refuse_without(left_s(environ, margin_s=margin_s))


def _refuse_without(seconds: float) -> None:
    if seconds < 0:
        raise ProblemError(
            answers.REQUEST_EXPIRED,
            "The service was too busy to take this request in time. Nothing was changed. Try "
            "again after the number of seconds in Retry-After.",
            headers={"Retry-After": "2"},
        )
