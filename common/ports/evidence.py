"""What the couriers find out about the broker."""

from typing import Protocol


class BrokerEvidence(Protocol):
    """What the couriers find out about RabbitMQ.

    Every method may raise ``StoreUnavailableError`` and ``StoreRefusedError``.
    """

    def note(self, trouble: str) -> None:
        """Record what is wrong with RabbitMQ now; empty if nothing is."""
        ...

    def latest(self) -> str | None:
        """Return what was recorded lately; None if nothing was."""
        ...
