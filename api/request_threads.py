"""The threads of uWSGI that answer requests, in the process that asks."""

import threading
from pathlib import Path
from typing import Final

_NAMES: Final = "uWSGI"  # uWSGIWorker1Core0 and so on; all are there before the first request
_THREADS: Final = Path("/proc/self/task")


def count() -> int:
    """Return how many there are, busy or not."""
    return len(_all())


def are_ending() -> bool:
    """Tell whether uWSGI stops: the idle ones end at once then, the others after their requests.

    It tells the app in no other way. Where there is no ``/proc``, nobody learns of it.
    """
    return _THREADS.exists() and not all(
        (_THREADS / str(thread.native_id)).exists() for thread in _all()
    )


def _all() -> list[threading.Thread]:
    # What uWSGI started, threading lists for ever, alive or not.
    return [thread for thread in threading.enumerate() if thread.name.startswith(_NAMES)]
