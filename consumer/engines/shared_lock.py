"""Who asks an engine at the same time as others, and who alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Turn:
    """One stay, and whether anybody else was there during it."""

    was_shared: bool = False


class Turns:
    """Lets a few ask together, or one alone, who goes first.

    Args:
        at_once: How many may ask together.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._changed = threading.Condition()
        self._asking: list[Turn] = []
        self._want_alone = 0

    @contextmanager
    def together(self) -> Iterator[Turn]:
        """Ask along with others."""
        with self._taken(
            lambda: not self._want_alone and len(self._asking) < self._at_once
        ) as turn:
            yield turn

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Ask while nobody else does."""
        with self._changed:
            self._want_alone += 1
        try:
            with self._taken(lambda: not self._asking):
                yield
        finally:
            with self._changed:
                self._want_alone -= 1
                self._changed.notify_all()

    @property
    def busy(self) -> int:
        """How many ask now, or wait for it."""
        return len(self._asking) + self._want_alone

    @contextmanager
    def _taken(self, is_free: Callable[[], bool]) -> Iterator[Turn]:
        with self._changed:
            self._changed.wait_for(is_free)
            turn = Turn(was_shared=bool(self._asking))
            for other in self._asking:
                other.was_shared = True
            self._asking.append(turn)
        try:
            yield turn
        finally:
            with self._changed:
                self._asking.remove(turn)
                self._changed.notify_all()
