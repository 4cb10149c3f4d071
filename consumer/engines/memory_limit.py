"""How much memory an engine may hold."""

import time
from typing import Final

from common.memory import MEBIBYTE, descendants_of, held_bytes

_LOOK_TWICE_WITHIN_S: Final = 0.01
_REST_AFTER_MEASUREMENT: Final = 20  # times as long as the measurement took


class MemoryLimit:
    """Measures from time to time the memory of a process and of all that it has started.

    Args:
        root: The process id.
        limit_bytes: What they may hold together; 0: no limit.
    """

    def __init__(self, root: int, limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._look_again_s = 0.0

    def excess(self) -> str:
        """Return what is held if it is over the limit and a measurement is due; else nothing."""
        started_s = time.monotonic()
        if not self._limit_bytes or started_s < self._look_again_s:
            return ""
        is_over = self._held_bytes() > self._limit_bytes
        # The kernel takes long to measure some GiB, and shared pages of forked processes have to be
        # counted exactly every time.
        self._look_again_s = started_s + _REST_AFTER_MEASUREMENT * (time.monotonic() - started_s)
        if not is_over:
            return ""
        # Between vfork and exec a new process counts as large as the one that it comes from.
        time.sleep(_LOOK_TWICE_WITHIN_S)
        held = self._held_bytes()
        if held <= self._limit_bytes:
            return ""
        return f"{in_mib(held)} of memory, over its limit of {in_mib(self._limit_bytes)},"

    def _held_bytes(self) -> int:
        return held_bytes(descendants_of(self._root), enough=self._limit_bytes)


def in_mib(size_bytes: int) -> str:
    """Show a size for people."""
    return f"{size_bytes / MEBIBYTE:.0f} MiB"
