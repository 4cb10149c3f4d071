"""Drills that kill, freeze and restart our own roles."""

import os
import signal
import time
from contextlib import suppress

from tests.drills.drill import Drill, Run
from tests.drills.images import Order
from tests.drills.system import Plan

_KILLS = 20
_JOBS = 500


def _kill_consumers(run: Run) -> None:
    """Kill a random parent or engine every now and then, and start the parents again."""
    with run.clients.load(pause_s=0.02, order=Order.WAIT, parameter=10):
        for _ in range(_KILLS):
            time.sleep(run.chance.uniform(0.2, 1.2))
            consumer = run.chance.choice(run.system.consumers)
            if run.chance.random() < 0.5:
                _kill_engine(consumer.children())
            else:
                consumer.kill()
                consumer.launch()
    run.clients.submit_many(max(0, _JOBS - len(run.ledger.expected)))
    run.notes["kills"] = _KILLS


def _kill_engine(engines: list[int]) -> None:
    for pid in engines:
        with suppress(ProcessLookupError):  # it is being started again, just now
            os.kill(pid, signal.SIGKILL)


DRILLS = (
    Drill(
        name="consumer-kill",
        harm="two consumers, a random parent or engine killed (-9) 20 times",
        do=_kill_consumers,
        plan=Plan(consumers=2),
    ),
)
