"""The queues as the courier sees them."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages wait in the queue.

    Args:
        ready: Messages that no consumer has.
        is_new: Whether the queue was missing or unusable, and has just been declared: its
            earlier messages are gone.
    """

    ready: int
    is_new: bool = False


class WatchedQueue(Protocol):
    def depth(self) -> QueueDepth:
        """Ask how many messages wait in the queue.

        Raises:
            BrokerUnavailableError: RabbitMQ does not say.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that RabbitMQ took out of the queue, and why, where it says."""

    body: bytes
    reason: str | None


class DeadLetterQueue(Protocol):
    def dead_letter(self) -> AbstractContextManager[DeadLetter | None]:
        """Take a dead letter, if there is one: for good unless the block raises an error.

        Raises:
            BrokerUnavailableError: RabbitMQ does not answer; it keeps the letter.
        """
        ...
