"""A lock that several share, or that one holds alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from consumer.engines.shared_lock import SharedLock
from testbed.waiting import wait_for


class Visitor:
    """Holds the lock in a thread of its own until the test releases it."""

    def __init__(self, pool: ThreadPoolExecutor, hold: AbstractContextManager[object]) -> None:
        self.is_in = threading.Event()
        self._may_go = threading.Event()
        self._stay: Future[None] = pool.submit(self._visit, hold)

    def leave(self) -> None:
        self._may_go.set()
        self._stay.result(60)

    def _visit(self, hold: AbstractContextManager[object]) -> None:
        with hold:
            self.is_in.set()
            self._may_go.wait(60)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_a_holder_that_nobody_joined_was_not_shared() -> None:
    lock = SharedLock(2)

    with lock.shared() as first:
        pass
    with lock.shared() as second:
        pass

    assert not first.was_shared
    assert not second.was_shared


def test_both_who_meet_have_shared_the_lock() -> None:
    lock = SharedLock(2)

    with lock.shared() as first, lock.shared() as second:
        assert lock.busy == 2

    assert first.was_shared
    assert second.was_shared


def test_no_more_than_so_many_hold_the_lock_together(pool: ThreadPoolExecutor) -> None:
    lock = SharedLock(1)
    first, second = Visitor(pool, lock.shared()), Visitor(pool, lock.shared())
    wait_for(lambda: first.is_in.is_set() or second.is_in.is_set())

    assert not (first.is_in.is_set() and second.is_in.is_set())

    for visitor in sorted((first, second), key=lambda one: not one.is_in.is_set()):
        visitor.is_in.wait(60)
        visitor.leave()


def test_who_wants_the_lock_alone_waits_for_its_holders_and_goes_before_the_next(
    pool: ThreadPoolExecutor,
) -> None:
    lock = SharedLock(2)
    inside = Visitor(pool, lock.shared())
    inside.is_in.wait(60)
    alone = Visitor(pool, lock.exclusive())
    wait_for(lambda: lock.busy == 2)
    later = Visitor(pool, lock.shared())

    assert not alone.is_in.is_set()
    inside.leave()
    assert alone.is_in.wait(60)
    assert not later.is_in.is_set()
    alone.leave()
    assert later.is_in.wait(60)
    later.leave()
