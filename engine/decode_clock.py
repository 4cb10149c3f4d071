"""When an engine began to decode an image, in memory that the parent can read at any time.

Decoding may hang in native code that also holds the interpreter's lock. Then no thread of the
engine runs, not even one that only sends a message. So the engine writes each start time to shared
memory, and the parent keeps the time.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawArray
from typing import Final

_IDLE: Final = 0.0
_INDEX, _BEGAN = 0, 1


class DecodeClock:
    """The image that one line of an engine is decoding, and since when.

    One thread of the engine writes, one thread of the parent reads. ``time.monotonic`` counts
    from the same moment in all processes of a machine.

    Create it once, and use it for one process after another: freeing it returns memory to a heap of
    ``multiprocessing``, and a finalizer that fails halfway leaves that heap broken.
    """

    def __init__(self) -> None:
        self._shared = RawArray("d", [0.0, _IDLE])

    def reset(self) -> None:
        """Forget what a process that has ended was decoding."""
        self._shared[_BEGAN] = _IDLE

    @contextmanager
    def decoding(self, index: int) -> Iterator[None]:
        """Record that the block decodes the image of the question at *index*."""
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
