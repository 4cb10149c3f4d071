"""Which deliveries a lane handles together."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

import pytest

from common.ports.deliveries import Disposition
from consumer.lanes import Lanes
from testbed.waiting import wait_for

_PATIENCE_S: Final = 60


class Handling:
    """Records the batches that it gets, and works on each until the test lets it continue."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.may_go_on = threading.Semaphore(0)

    def __call__(self, bodies: Sequence[bytes]) -> Iterator[tuple[int, Disposition]]:
        self.batches.append(list(bodies))
        self.may_go_on.acquire(timeout=_PATIENCE_S)
        for place, body in enumerate(bodies):
            if body == b"bug":
                raise RuntimeError("a bug")
            yield place, Disposition.ACK


@pytest.fixture
def handling() -> Handling:
    return Handling()


def test_a_lane_takes_what_is_there_up_to_the_size_of_a_batch(handling: Handling) -> None:
    with closing(Lanes(handling, count=1, batch_size=3)) as lanes:
        first = lanes.take(b"0")
        wait_for(lambda: handling.batches)
        rest = [lanes.take(b"%d" % number) for number in range(1, 6)]
        handling.may_go_on.release(3)

        assert [one.result(_PATIENCE_S) for one in (first, *rest)] == [Disposition.ACK] * 6

    assert handling.batches == [[b"0"], [b"1", b"2", b"3"], [b"4", b"5"]]


def test_a_batch_that_is_told_to_waits_for_more(handling: Handling) -> None:
    handling.may_go_on.release(2)
    with closing(Lanes(handling, count=2, batch_size=2, batch_wait_s=_PATIENCE_S)) as lanes:
        first = lanes.take(b"1")
        assert not handling.batches
        second = lanes.take(b"2")

        assert first.result(_PATIENCE_S) is second.result(_PATIENCE_S) is Disposition.ACK

    assert handling.batches == [[b"1", b"2"]]


def test_a_batch_waits_for_more_only_so_long(handling: Handling) -> None:
    handling.may_go_on.release()
    with closing(Lanes(handling, count=1, batch_size=2, batch_wait_s=0.05)) as lanes:
        assert lanes.take(b"1").result(_PATIENCE_S) is Disposition.ACK


def test_two_lanes_work_at_the_same_time(handling: Handling) -> None:
    with closing(Lanes(handling, count=2)) as lanes:
        deliveries = [lanes.take(b"1"), lanes.take(b"2")]
        wait_for(lambda: len(handling.batches) == len(deliveries))
        handling.may_go_on.release(2)


def test_what_no_lane_has_begun_can_be_cancelled(handling: Handling) -> None:
    with closing(Lanes(handling, count=1)) as lanes:
        begun = lanes.take(b"1")
        wait_for(lambda: handling.batches)
        waiting = [lanes.take(b"2"), lanes.take(b"3")]

        lanes.cancel_waiting()

        assert [one.cancelled() for one in waiting] == [True, True]
        handling.may_go_on.release()
        assert begun.result(_PATIENCE_S) is Disposition.ACK
    assert handling.batches == [[b"1"]]


def test_an_error_reaches_all_that_are_not_settled(handling: Handling) -> None:
    handling.may_go_on.release(2)
    with closing(Lanes(handling, count=1, batch_size=3, batch_wait_s=_PATIENCE_S)) as lanes:
        good, bad, after = (lanes.take(body) for body in (b"1", b"bug", b"2"))

        assert good.result(_PATIENCE_S) is Disposition.ACK
        for delivery in (bad, after):
            with pytest.raises(RuntimeError, match="a bug"):
                delivery.result(_PATIENCE_S)
