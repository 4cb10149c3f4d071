"""Why this consumer does not consume, if it does not."""

from collections.abc import Callable

import structlog

log = structlog.stdlib.get_logger(__name__)


class Trouble:
    """The reason, in words for operators. One thread writes, any may read.

    ``on_change`` is called after each change.
    """

    def __init__(self) -> None:
        self.text = "it has not started to consume"
        self.on_change: Callable[[], None] = lambda: None

    def note(self, text: str) -> None:
        """Set the reason; empty if there is none."""
        if text == self.text:
            return
        if text:
            log.warning("not consuming", reason=text)
        self.text = text
        self.on_change()
