"""What a process does with memory that it has freed: it keeps some, for the next image."""

import ctypes
import os
import time
from contextlib import suppress
from typing import Final

from common.memory import MEBIBYTE, resident_bytes, share_one_heap

_BUSY_PAUSE_S: Final = 1.0
# https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3
# All pixels of a photograph of 4000 x 3000, at the 4 bytes that Pillow takes for each.
_KEPT_BYTES: Final = 64 * MEBIBYTE
_LARGEST_IN_HEAP_BYTES: Final = 32 * MEBIBYTE  # the most that glibc accepts


def keep_freed_memory() -> None:
    """Have glibc keep freed memory instead of returning all of it to the kernel.

    Of itself it returns what a large image took, and the next one's pages have to be mapped
    and zeroed again, which takes a third of the time of decoding it. What was never touched
    takes no memory: an engine that sees small images stays as small as it was.
    """
    with suppress(OSError, AttributeError):  # another C library
        options = ctypes.CDLL(None)
        options.mallopt(_MMAP_THRESHOLD, _LARGEST_IN_HEAP_BYTES)
        options.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        options.mallopt(_TOP_PAD, _KEPT_BYTES)
    share_one_heap()  # each thread's own would keep as much


class FreedMemory:
    """Returns to the kernel what very large images took, and what glibc would keep for ever.

    What it keeps between others lies below what is in use, so its own threshold does not see it.
    """

    def __init__(self) -> None:
        self._usual_bytes = resident_bytes(os.getpid())
        self._due_s = 0.0

    def return_excess(self, *, is_idle: bool) -> None:
        """Return what was freed, if the process holds far more than at its start.

        Args:
            is_idle: Whether nothing waits. Otherwise memory is returned once a second at most:
                it takes milliseconds, and a process may have grown for good.
        """
        now_s = time.monotonic()
        if not is_idle and now_s < self._due_s:
            return
        if resident_bytes(os.getpid()) - self._usual_bytes > 2 * _KEPT_BYTES:
            self._due_s = now_s + _BUSY_PAUSE_S
            with suppress(OSError, AttributeError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)
