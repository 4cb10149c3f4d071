"""Duties run in rounds: none delays another, and none delays the end."""

import threading
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from common.errors import BrokerUnavailableError, StoreUnavailableError
from courier.rounds import Rounds, every, once, repeat
from testbed.waiting import wait_for


def stopping_after(stopping: threading.Event, count: int) -> Callable[[], None]:
    done: list[None] = []

    def duty() -> None:
        done.append(None)
        if len(done) == count:
            stopping.set()

    return duty


def test_a_duty_that_cannot_be_done_now_keeps_up_no_other() -> None:
    stopping = threading.Event()
    done: list[str] = []

    def fail() -> None:
        done.append("failing")
        raise StoreUnavailableError("the store is down")

    repeat(stopping, [fail, lambda: done.append("other"), stopping_after(stopping, 1)])

    assert done == ["failing", "other"]


def test_the_reason_of_a_failing_duty_is_logged_when_it_changes_and_not_in_each_round() -> None:
    stopping = threading.Event()
    reasons = iter(["away", "away", "full", "full", "", "full"])

    def fail() -> None:
        if reason := next(reasons):
            raise StoreUnavailableError(reason)

    with capture_logs() as logged:
        repeat(stopping, [fail, stopping_after(stopping, 6)], pause_s=0)

    assert [line["reason"] for line in logged] == ["away", "full", "full"]


def test_a_duty_to_be_done_once_is_repeated_until_it_succeeds() -> None:
    done: list[str] = []

    def succeed_at_the_second_try() -> None:
        done.append("tried")
        if len(done) == 1:
            raise BrokerUnavailableError("RabbitMQ is down")

    duty = once(succeed_at_the_second_try)
    with pytest.raises(BrokerUnavailableError):
        duty()
    duty()
    duty()

    assert done == ["tried", "tried"]


def test_a_duty_to_be_done_seldom_rests_after_its_success() -> None:
    done: list[None] = []
    seldom, always = every(3600, lambda: done.append(None)), every(0, lambda: done.append(None))

    for _ in range(3):
        seldom()
    assert len(done) == 1
    for _ in range(3):
        always()
    assert len(done) == 4


def test_rounds_in_a_thread_end_when_asked_and_say_goodbye() -> None:
    stopping, ended = threading.Event(), threading.Event()
    rounds = Rounds("test", stopping, [stopping_after(stopping, 1)], at_end=ended.set)

    wait_for(ended.is_set, what="the rounds end")

    rounds.join(60)
    rounds.check()


def test_a_bug_in_a_thread_is_not_kept_from_the_process() -> None:
    def have_a_bug() -> None:
        raise KeyError("a bug")

    rounds = Rounds("test", threading.Event(), [have_a_bug])
    rounds.join(60)

    with pytest.raises(KeyError, match="a bug"):
        rounds.check()
