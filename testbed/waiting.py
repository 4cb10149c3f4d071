"""Wait for a condition, with a deadline; never for a time.

The deadline is for what never comes. It costs nothing where all is well, so it is a multiple
of what a slow machine with other work to do was seen to need.
"""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], *, within_s: float = 60, what: str = "") -> None:
    """Return once *condition* holds; fail if it does not in time."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what or condition}"
        time.sleep(0.02)
