"""Threads that handle deliveries, so that the connection's thread is always free."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from common.ports.deliveries import Disposition, Handled

Handle = Callable[[Sequence[bytes]], Iterable[tuple[int, Disposition]]]


@dataclass(frozen=True, slots=True)
class _Delivery:
    body: bytes
    handled: Handled = field(default_factory=Future)


class Lanes:
    """Threads that each handle one batch of deliveries after another.

    A lane takes the deliveries that are there. It waits for a full batch only if *batch_wait_s*
    says so.

    Args:
        handle: Handles some bodies, and yields the index of each and what becomes of it.
        count: How many lanes.
        batch_size: The most deliveries of a batch.
        batch_wait_s: How long a batch waits for more.
    """

    def __init__(
        self, handle: Handle, *, count: int, batch_size: int = 1, batch_wait_s: float = 0
    ) -> None:
        self._handle = handle
        self._batch_size = batch_size
        self._batch_wait_s = batch_wait_s
        self._waiting = SimpleQueue[_Delivery]()
        self._forming = threading.Lock()  # or two lanes would wait for half a batch each
        self._threads = ThreadPoolExecutor(max_workers=count, thread_name_prefix="lane")

    def take(self, body: bytes) -> Handled:
        """Queue a delivery; the result of the future says what becomes of it."""
        delivery = _Delivery(body)
        self._waiting.put(delivery)
        self._threads.submit(self._work)
        return delivery.handled

    def cancel_waiting(self) -> None:
        """Cancel the deliveries that no lane has begun."""
        while (delivery := self._next(0)) is not None:
            delivery.handled.cancel()

    def close(self) -> None:
        """Cancel the deliveries that no lane has begun, and wait for the others."""
        self.cancel_waiting()
        self._threads.shutdown(cancel_futures=True)

    def _work(self) -> None:
        batch = self._next_batch()
        if not batch:
            return  # another lane took them all
        try:
            for index, disposition in self._handle([delivery.body for delivery in batch]):
                batch[index].handled.set_result(disposition)
        except Exception as exc:  # noqa: BLE001 (whoever waits for the future raises it)
            for delivery in batch:
                if not delivery.handled.done():
                    delivery.handled.set_exception(exc)

    def _next_batch(self) -> list[_Delivery]:
        with self._forming:
            batch: list[_Delivery] = []
            until_s = time.monotonic() + self._batch_wait_s
            while len(batch) < self._batch_size:
                wait_s = until_s - time.monotonic() if batch else 0
                if (delivery := self._next(max(0.0, wait_s))) is None:
                    break
                delivery.handled.set_running_or_notify_cancel()
                batch.append(delivery)
            return batch

    def _next(self, wait_s: float) -> _Delivery | None:
        try:
            return self._waiting.get(block=wait_s > 0, timeout=wait_s or None)
        except Empty:
            return None
