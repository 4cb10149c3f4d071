"""A file that a role touches while it works, for health checks."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_EVERY_S: Final = 1.0


class Pulse:
    """Touches a file, at most once a second: a container's health check reads its age.

    Args:
        file: The file; None: nobody watches.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._rests_until_s = 0.0

    def beat(self) -> None:
        """Touch the file: the work goes on."""
        now_s = time.monotonic()
        if self._file is not None and now_s >= self._rests_until_s:
            with suppress(OSError):  # then the role looks dead, and its log shows that it is not
                self._file.touch()
            self._rests_until_s = now_s + _EVERY_S
