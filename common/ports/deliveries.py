"""Receiving messages, and settling their deliveries."""

from concurrent.futures import Future
from enum import Enum, auto
from typing import Protocol


class Disposition(Enum):
    """What becomes of a delivery."""

    ACK = auto()  # the job is saved, or is somebody else's
    REQUEUE = auto()  # this process is stopping; another consumer gets it
    DEAD_LETTER = auto()  # it is no message of ours


# Its result settles the delivery. If it is cancelled, nobody has begun to handle it.
Handled = Future[Disposition]


class Receiver(Protocol):
    """Who takes deliveries. All methods are called in the thread that consumes."""

    def take(self, body: bytes) -> Handled:
        """Begin to handle a delivery, and return at once."""
        ...

    def cancel_waiting(self) -> None:
        """Cancel what nobody has begun to handle: the broker delivers it to others."""
        ...

    def beat(self) -> None:
        """Learn that the broker is still being served; called twice a second or so."""
        ...

    def note_trouble(self, text: str) -> None:
        """Learn what keeps us from consuming, in words for operators; empty if nothing does."""
        ...


class Deliveries(Protocol):
    """Messages of the queue, one delivery each, at least once."""

    def consume(self, receiver: Receiver, *, prefetch_count: int) -> None:
        """Hand each delivery to *receiver*, and settle it, until a stop is asked for.

        Outages of the broker are waited out.

        Raises:
            Exception: Whatever the receiver's results raise: a bug, so the process shall end.
        """
        ...
