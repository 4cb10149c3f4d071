"""How much the store holds."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUsage:
    """What the jobs and images take.

    Args:
        used_bytes: What they take now.
        reusable_bytes: What others took that are gone: space for new ones, but no other files.
        free_bytes: What the store's disk has left; None where the store does not say.
    """

    used_bytes: int
    reusable_bytes: int = 0
    free_bytes: int | None = None


class UsageMeter(Protocol):
    """Counts for the store. May raise ``StoreUnavailableError`` and ``StoreRefusedError``."""

    def measure(self) -> StoreUsage:
        """Return what the jobs and images take; cheap, however many there are."""
        ...
