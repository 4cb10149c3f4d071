"""Images without jobs."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sweep:
    """The number of deleted images, and the time to continue from."""

    deleted: int
    next_ms: int


class Images(Protocol):
    """The courier's view of the images.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def delete_orphans(self, *, from_ms: int, until_ms: int) -> Sweep:
        """Delete images without a job among the first ones stored from *from_ms* on.

        Only images stored before *until_ms* are considered.
        """
        ...
