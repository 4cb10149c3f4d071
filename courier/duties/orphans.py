"""Delete the images whose jobs were never recorded: the API was killed in between."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from common.ports.images import Images

log = structlog.stdlib.get_logger(__name__)

_MS: Final = 1000
# Much longer than any request may last; uWSGI ends one after 90 s.
_YOUNGEST_MS: Final = 600 * _MS
_OLDEST_MS: Final = 3600 * _MS
# An idle store is not asked every second.
_STEP_MS: Final = 10 * _MS


@dataclass(slots=True, kw_only=True)
class OrphanedImages:
    """Sweeps the images in the order in which they were stored, a few in each round.

    It begins an hour before its first round. Orphans from before that stay: to find them, every
    image would have to be read.
    """

    images: Images
    now_ms: Callable[[], int]
    _next_ms: int | None = field(default=None, init=False)

    def delete(self) -> int:
        """Delete orphans among the next images; return how many.

        Raises:
            StoreUnavailableError: The store does not answer.
        """
        now_ms = self.now_ms()
        if self._next_ms is None:
            self._next_ms = now_ms - _OLDEST_MS
        until_ms = now_ms - _YOUNGEST_MS
        if until_ms - self._next_ms < _STEP_MS:
            return 0
        sweep = self.images.delete_orphans(from_ms=self._next_ms, until_ms=until_ms)
        self._next_ms = sweep.next_ms
        if sweep.deleted:
            log.warning("deleted images without a job", images=sweep.deleted)
        return sweep.deleted
