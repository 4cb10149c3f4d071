"""Who asks an engine together with others, and who alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from consumer.engines.shared_lock import Turns
from testbed.waiting import wait_for


class Visitor:
    """Takes a turn in a thread of its own, and stays until it is told to go."""

    def __init__(self, pool: ThreadPoolExecutor, turn: AbstractContextManager[object]) -> None:
        self.is_in = threading.Event()
        self._may_go = threading.Event()
        self._stay: Future[None] = pool.submit(self._visit, turn)

    def leave(self) -> None:
        self._may_go.set()
        self._stay.result(60)

    def _visit(self, turn: AbstractContextManager[object]) -> None:
        with turn:
            self.is_in.set()
            self._may_go.wait(60)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def test_a_turn_that_nobody_shared_says_so() -> None:
    turns = Turns(2)

    with turns.together() as first:
        pass
    with turns.together() as second:
        pass

    assert not first.was_shared
    assert not second.was_shared


def test_both_who_meet_have_shared_their_turn() -> None:
    turns = Turns(2)

    with turns.together() as first, turns.together() as second:
        assert turns.busy == 2

    assert first.was_shared
    assert second.was_shared


def test_no_more_than_so_many_take_turns_together(pool: ThreadPoolExecutor) -> None:
    turns = Turns(1)
    first, second = Visitor(pool, turns.together()), Visitor(pool, turns.together())
    wait_for(lambda: first.is_in.is_set() or second.is_in.is_set())

    assert not (first.is_in.is_set() and second.is_in.is_set())

    for visitor in sorted((first, second), key=lambda one: not one.is_in.is_set()):
        visitor.is_in.wait(60)
        visitor.leave()


def test_who_wants_to_be_alone_waits_for_those_inside_and_goes_before_the_next(
    pool: ThreadPoolExecutor,
) -> None:
    turns = Turns(2)
    inside = Visitor(pool, turns.together())
    inside.is_in.wait(60)
    alone = Visitor(pool, turns.alone())
    wait_for(lambda: turns.busy == 2)
    later = Visitor(pool, turns.together())

    assert not alone.is_in.is_set()
    inside.leave()
    assert alone.is_in.wait(60)
    assert not later.is_in.is_set()
    alone.leave()
    assert later.is_in.wait(60)
    later.leave()
