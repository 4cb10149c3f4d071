"""The threads of this process in which uWSGI answers requests.

Their end is the only sign that uWSGI stops. Without it a stop would last as long as the longest
wait, 20 s by default, instead of a second.
"""

import threading
from pathlib import Path
from typing import Final

_NAMES: Final = "uWSGI"  # uWSGIWorker1Core0 and so on; all are there before the first request
_THREADS: Final = Path("/proc/self/task")


def count() -> int:
    """Return how many there are, busy or not."""
    return len(_all())


def are_ending() -> bool:
    """Return whether uWSGI stops: then its idle threads end at once, others after their requests.

    uWSGI reports it in no other way. Without ``/proc`` the answer is always False.
    """
    return _THREADS.exists() and not all(
        (_THREADS / str(thread.native_id)).exists() for thread in _all()
    )


def _all() -> list[threading.Thread]:
    # threading lists the threads that uWSGI started for ever, alive or not.
    return [thread for thread in threading.enumerate() if thread.name.startswith(_NAMES)]
