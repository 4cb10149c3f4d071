"""How much the store holds."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """The space that jobs and images take.

    Args:
        used_bytes: The space in use.
        reusable_bytes: The space of deleted ones: free for new ones, but not for other files.
        free_bytes: The free space of the store's disk; None if the store does not report it.
    """

    used_bytes: int
    reusable_bytes: int = 0
    free_bytes: int | None = None


class UsageMeter(Protocol):
    """Measures the store. May raise ``StoreUnavailableError`` and ``StoreRefusedError``."""

    def measure(self) -> StoreUsage:
        """Return the space that jobs and images take; the cost does not grow with their number."""
        ...
