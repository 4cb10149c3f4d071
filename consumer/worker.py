"""What is between the deliveries of the broker and the lanes that handle them."""

from concurrent.futures import wait
from typing import Final

from common.ports.deliveries import Deliveries, Handled
from common.pulse import Pulse
from common.stopping import Stop
from consumer.lanes import Lanes
from consumer.trouble import Trouble

_LOOK_AGAIN_S: Final = 0.5


class Worker:
    """Hands deliveries to lanes, which are threads of their own.

    So the connection to the broker is served during any inference, and its heartbeats flow.
    """

    def __init__(
        self, deliveries: Deliveries, lanes: Lanes, *, stop: Stop, pulse: Pulse, trouble: Trouble
    ) -> None:
        self._deliveries = deliveries
        self._lanes = lanes
        self._stop = stop
        self._pulse = pulse
        self._trouble = trouble
        # Of all connections: a job outlives the one that its delivery came over.
        self._in_hand: set[Handled] = set()

    def run(self, *, prefetch_count: int) -> None:
        """Consume until a stop is asked for; then finish what is in hand, unless it is hurried.

        Raises:
            Exception: Whatever the handler did not expect: a bug, so the process shall end.
        """
        self._deliveries.consume(self, prefetch_count=prefetch_count)
        self._lanes.cancel_waiting()
        while self._in_hand and not self._stop.hurried.is_set():
            wait(set(self._in_hand), _LOOK_AGAIN_S)

    def take(self, body: bytes) -> Handled:
        """Give a delivery to a lane."""
        handled = self._lanes.take(body)
        self._in_hand.add(handled)
        handled.add_done_callback(self._in_hand.discard)
        return handled

    def cancel_waiting(self) -> None:
        """Cancel the deliveries that no lane has begun."""
        self._lanes.cancel_waiting()

    def beat(self) -> None:
        """Show that deliveries are still being received."""
        self._pulse.beat()

    def note_trouble(self, text: str) -> None:
        """Take *text* for what keeps this consumer from consuming; empty if nothing does."""
        self._trouble.note(text)
