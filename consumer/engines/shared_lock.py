"""A lock that a few may hold together, or one alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Holder:
    """One that holds the lock, and whether anybody else held it at the same time."""

    was_shared: bool = False


class SharedLock:
    """Held by a few together, or by one alone, who goes first.

    Args:
        at_once: How many may hold it together.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._changed = threading.Condition()
        self._holders: list[Holder] = []
        self._want_alone = 0

    @contextmanager
    def shared(self) -> Iterator[Holder]:
        """Hold the lock along with others."""
        with self._held(
            lambda: not self._want_alone and len(self._holders) < self._at_once
        ) as holder:
            yield holder

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock while nobody else does."""
        with self._changed:
            self._want_alone += 1
        try:
            with self._held(lambda: not self._holders):
                yield
        finally:
            with self._changed:
                self._want_alone -= 1
                self._changed.notify_all()

    @property
    def busy(self) -> int:
        """How many hold the lock or wait for it."""
        return len(self._holders) + self._want_alone

    @contextmanager
    def _held(self, is_free: Callable[[], bool]) -> Iterator[Holder]:
        with self._changed:
            self._changed.wait_for(is_free)
            holder = Holder(was_shared=bool(self._holders))
            for other in self._holders:
                other.was_shared = True
            self._holders.append(holder)
        try:
            yield holder
        finally:
            with self._changed:
                self._holders.remove(holder)
                self._changed.notify_all()
