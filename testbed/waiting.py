"""Wait for a condition with a deadline, never for a fixed time.

The deadline is for what never comes. It costs nothing where all is well, so it is a multiple
of what a slow machine with other work to do was seen to need.
"""

import time
from collections.abc import Callable
from typing import Final

# Each check costs the service something, and a long wait need not end to the hundredth of a second.
_SHORTEST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.1
_PAUSE_SHARE: Final = 0.05


def wait_for(condition: Callable[[], object], *, within_s: float = 60, what: str = "") -> None:
    """Return once *condition* holds; fail if it does not hold in time."""
    started_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - started_s
        assert waited_s < within_s, f"not within {within_s} s: {what or condition}"
        time.sleep(min(max(_SHORTEST_PAUSE_S, waited_s * _PAUSE_SHARE), _LONGEST_PAUSE_S))
