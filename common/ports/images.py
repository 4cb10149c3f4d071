"""Images without jobs."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sweep:
    """What was deleted, and the time from which on to sweep next."""

    deleted: int
    next_ms: int


class Images(Protocol):
    """The courier's view of the images.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def delete_orphans(self, *, from_ms: int, until_ms: int) -> Sweep:
        """Delete those without a job among the first images stored from *from_ms* on.

        Only such as were stored before *until_ms*.
        """
        ...
