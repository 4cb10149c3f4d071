"""When an engine began to decode an image, where the parent can read it at any time.

Decoding may hang in native code that also holds the interpreter's lock. Then no thread of the
engine runs, not even one that only sends a message. So the engine notes each beginning in memory
that it shares with its parent, and the parent keeps the time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawArray
from typing import Final

_IDLE: Final = 0.0
_INDEX, _BEGAN = 0, 1


class DecodeClock:
    """What one line of an engine is decoding, and since when.

    One thread of the engine writes, one thread of the parent reads. ``time.monotonic`` counts
    from the same moment in all processes of a machine.

    To be made once, and used for one process after another. What is freed here goes back to a
    heap of ``multiprocessing``, which a finalizer that fails halfway leaves broken for good.
    """

    def __init__(self) -> None:
        self._shared = RawArray("d", [0.0, _IDLE])

    def reset(self) -> None:
        """Forget what a process that has ended was decoding."""
        self._shared[_BEGAN] = _IDLE

    @contextmanager
    def decoding(self, index: int) -> Iterator[None]:
        """Note that the image of the question at *index* is decoded while the block runs."""
        self._shared[_INDEX] = index
        self._shared[_BEGAN] = time.monotonic()
        try:
            yield
        finally:
            self._shared[_BEGAN] = _IDLE

    def overdue(self, limit_s: float) -> int | None:
        """Return the index of an image that has been decoded for longer than *limit_s*."""
        began_s, index = self._shared[_BEGAN], int(self._shared[_INDEX])
        # The next image may have begun between the two readings.
        is_same = began_s == self._shared[_BEGAN]
        is_over = began_s != _IDLE and time.monotonic() - began_s > limit_s
        return index if is_same and is_over else None
