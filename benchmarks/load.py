"""The load: clients in processes of their own, so that what they cost is counted apart."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Final

from benchmarks.clients import Order, Report, carry_out

_LIMIT_S: Final = 3600.0


@contextmanager
def at_work(*orders: Order) -> Iterator[Callable[[], Report]]:
    """Start a process for each order; yield what waits for them and tells what they saw."""
    with get_context("spawn").Pool(len(orders), _leave_signals_to_the_parent) as pool:
        working = pool.map_async(carry_out, orders, chunksize=1)

        def reported() -> Report:
            total = Report()
            for one in working.get(_LIMIT_S):
                total.add(one)
            return total

        yield reported


def do(*orders: Order) -> Report:
    """Have the orders done, at the same time, each by a process."""
    with at_work(*orders) as reported:
        return reported()


def _leave_signals_to_the_parent() -> None:
    """Pass over Ctrl-C, which reaches all processes of a terminal: the parent ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
