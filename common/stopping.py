"""SIGTERM and SIGINT, as events that a process can wait for."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Final

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# The time of a hurried process to leave the registry and to close its connections.
_CLOSING_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Stop:
    """Whether the process must stop, and whether in a hurry: at a second signal, or out of time."""

    asked: threading.Event = field(default_factory=threading.Event)
    hurried: threading.Event = field(default_factory=threading.Event)


def hold_signals() -> None:
    """Block the signals until somebody handles them; before that they kill.

    Call this before anything slow is imported. Children block them, too.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def stop_on_signals(*, grace_s: float) -> Stop:
    """Handle the signals, and end the process soon after *grace_s* whatever hangs then.

    In threads, not in a handler: that would run while the main thread holds the lock of the
    very event it sets.
    """
    hold_signals()
    stop = Stop()
    threading.Thread(target=_hear, args=(stop,), name="signals", daemon=True).start()
    threading.Thread(target=_end, args=(stop, grace_s), name="grace", daemon=True).start()
    return stop


def _hear(stop: Stop) -> None:
    signal.sigwait(_SIGNALS)
    stop.asked.set()
    signal.sigwait(_SIGNALS)
    stop.hurried.set()


def _end(stop: Stop, grace_s: float) -> None:
    stop.asked.wait()
    stop.hurried.wait(grace_s)
    stop.hurried.set()
    time.sleep(_CLOSING_S)
    os._exit(0)  # what was not acked is delivered again
