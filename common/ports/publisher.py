"""Sending messages."""

from typing import Protocol

from common.messages import ClassifyMessage


class Publisher(Protocol):
    def publish(self, message: ClassifyMessage) -> None:
        """Hand *message* to RabbitMQ; return once it is confirmed.

        Raises:
            BrokerUnavailableError: Whether the message arrived is unknown.
        """
        ...
