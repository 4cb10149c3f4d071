"""A drill that scales, stops and kills containers."""

import time
from typing import Final

from testbed.echo import Order
from testbed.system import Plan
from tests.compose.container import Container
from tests.compose.system import ComposeSystem
from tests.drills.drill import Drill, Run

_PAUSE_S: Final = 0.4
_WAIT_S: Final = 0.05


def _turn_upside_down(run: Run) -> None:
    """Add and remove containers, and stop and kill each, under load."""
    system = run.system
    assert isinstance(system, ComposeSystem)
    with run.clients.load(pause_s=_PAUSE_S, order=Order.WAIT, parameter=round(_WAIT_S * 100)):
        system.scale(consumer=2, api=2)
        system.wait_until_all_consume()
        run.see_one_through()
        system.scale(consumer=1, api=1)
        run.see_one_through()
        for container in system.containers:
            _stop(run, container)
            # Long enough for nginx, and for everybody else, to notice.
            time.sleep(run.chance.uniform(0, 2))
            _start(run, container)
            container.kill()
            _start(run, container)
    run.notes["stopped and killed"] = " ".join(one.service for one in system.containers)


def _stop(run: Run, container: Container) -> None:
    began_s = time.monotonic()
    status = container.stop()
    took_s = time.monotonic() - began_s
    run.expect(status == 0, f"{container.service} ended with status {status}")
    # If Docker had to kill it, the status would show that; this shows how close it was.
    run.notes[f"{container.service} stopped in"] = f"{took_s:.1f} s"


def _start(run: Run, container: Container) -> None:
    container.start()
    run.system.wait_until_ready()
    run.see_one_through()


UPHEAVAL: Final = Drill(
    name="upheaval",
    harm="consumers and apis added and removed; every container stopped, started, killed (-9) "
    "and started again, all under load",
    do=_turn_upside_down,
    plan=Plan(settings={"DARKROOM_LEASE_S": "8"}),
)
