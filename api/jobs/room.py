"""Whether there is space for another image: on the disks, and within the operator's bound."""

import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from common.errors import StoreRefusedError
from common.memory import MEBIBYTE
from common.ports.usage import StoreUsage, UsageMeter

log = structlog.stdlib.get_logger(__name__)

# A measurement is cheap, but every process makes them.
_COUNTS_FOR_S: Final = 1.0


class Room:
    """Refuses images in time: accepted jobs and the servers still need space.

    Unused space in the store's own files counts as free, since they do not shrink when images
    expire. But half of what must be free on each disk must be free for all programs.

    Args:
        usage: Measures the store.
        folders: Folders on the disks to watch; without any, the store's disk, if it reports that.
        min_free_bytes: What must be free on each; 0: nothing.
        max_stored_bytes: The largest size of images and records; 0: no limit.
    """

    def __init__(
        self,
        usage: UsageMeter,
        *,
        folders: Sequence[Path] = (),
        min_free_bytes: int = 0,
        max_stored_bytes: int = 0,
    ) -> None:
        self._meter = usage
        self._folders = folders
        self._min_free_bytes = min_free_bytes
        self._max_stored_bytes = max_stored_bytes
        self._lock = threading.Lock()
        self._measured: StoreUsage | None = None
        self._measured_s = 0.0
        self._stored_since_bytes = 0

    def shortage(self, more_bytes: int = 0) -> str:
        """Return why an image of *more_bytes* cannot be accepted now; empty if it can.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        return self._shortage_of_disk(more_bytes) or self._over_the_bound(more_bytes)

    def note_stored(self, image_bytes: int) -> None:
        """Count an image that was stored after the last measurement."""
        with self._lock:
            self._stored_since_bytes += _as_stored(image_bytes)

    def _shortage_of_disk(self, more_bytes: int) -> str:
        if not self._min_free_bytes:
            return ""
        for folder in self._folders:
            free = shutil.disk_usage(folder).free - _as_stored(more_bytes)
            if free < self._min_free_bytes:
                return self._lack(free, f"the disk of {folder.name}")
        if not self._folders and (usage := self._usage()) and usage.free_bytes is not None:
            return self._lack(usage.free_bytes - _as_stored(more_bytes), "the disk of the store")
        return ""

    def _lack(self, free: int, disk: str) -> str:
        usage = self._usage()
        reusable = 0 if usage is None else usage.reusable_bytes
        if free >= self._min_free_bytes // 2 and free + reusable >= self._min_free_bytes:
            return ""
        return f"{disk} has less than {self._min_free_bytes // MEBIBYTE} MiB left"

    def _over_the_bound(self, more_bytes: int) -> str:
        most = self._max_stored_bytes
        if not most:
            return ""
        more = _as_stored(more_bytes)
        # Other processes store images, too: the closer the bound, the fewer may be estimated.
        usage = self._usage(or_measure_above=most // 2 - more)
        if usage is None or usage.used_bytes + more <= most:
            return ""
        return f"stored images and records take {usage.used_bytes} bytes, of at most {most}"

    def _usage(self, *, or_measure_above: int | None = None) -> StoreUsage | None:
        """Return the store's usage, with what was stored since; None if it reports none."""
        with self._lock:
            is_old = time.monotonic() - self._measured_s > _COUNTS_FOR_S
            if is_old or (or_measure_above is not None and self._estimate() > or_measure_above):
                self._measure()
            if self._measured is None:
                return None
            return StoreUsage(
                used_bytes=self._estimate(),
                reusable_bytes=max(0, self._measured.reusable_bytes - self._stored_since_bytes),
                free_bytes=self._measured.free_bytes,
            )

    def _estimate(self) -> int:
        return (self._measured.used_bytes if self._measured else 0) + self._stored_since_bytes

    def _measure(self) -> None:
        try:
            self._measured = self._meter.measure()
        except StoreRefusedError as exc:  # the user of the database may lack the right
            log.warning("the store does not report its usage", reason=str(exc))
            self._measured = None
        self._measured_s = time.monotonic()
        self._stored_since_bytes = 0


def _as_stored(image_bytes: int) -> int:
    """Return the size of an image in the built-in store, which keeps it as base64."""
    return -(-image_bytes * 4 // 3)
