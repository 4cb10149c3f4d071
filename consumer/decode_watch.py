"""Watches how long images take to decode, inside the engine.

Decoding may hang in native code, which nothing can interrupt. So the parent is told which image
it is, and ends the engine: the file is to blame, and no other question that was asked with it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

Report = Callable[[int], None]

_LOOKS_A_LIMIT: Final = 20


class DecodeWatch:
    """Reports an image that is decoded for too long, once.

    Args:
        limit_s: How long one image may take.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._lock = threading.Lock()
        self._due_s: dict[tuple[Report, int], float] = {}
        threading.Thread(target=self._watch, name="decode-watch", daemon=True).start()

    @contextmanager
    def over(self, report: Report, place: int) -> Iterator[None]:
        """Call *report* with *place* if the block takes longer than the limit."""
        key = (report, place)
        with self._lock:
            self._due_s[key] = time.monotonic() + self._limit_s
        try:
            yield
        finally:
            with self._lock:
                self._due_s.pop(key, None)

    def _watch(self) -> None:
        while True:
            time.sleep(self._limit_s / _LOOKS_A_LIMIT)
            for report, place in self._overdue():
                report(place)

    def _overdue(self) -> list[tuple[Report, int]]:
        """Take out those whose time is up."""
        now_s = time.monotonic()
        with self._lock:
            overdue = [key for key, due_s in self._due_s.items() if now_s > due_s]
            for key in overdue:
                del self._due_s[key]
        return overdue
