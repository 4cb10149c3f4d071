"""A drill that restarts every role, as whoever brings out a new version does."""

from typing import Final

from testbed.echo import Order
from testbed.system import CALM, Plan
from tests.drills.drill import Drill, Run

_ROUNDS: Final = 2
_WAIT_S: Final = 0.05
# What one consumer can do while the other is away.
_PAUSE_S: Final = 0.4


def _restart_all(run: Run) -> None:
    """Stop and start one role after another under load, in a new order each round."""
    restarts = 0
    with run.clients.load(pause_s=_PAUSE_S, order=Order.WAIT, parameter=round(_WAIT_S * 100)):
        for _ in range(_ROUNDS):
            servers = [*run.system.roles, run.system.nginx]
            run.chance.shuffle(servers)
            for server in servers:
                status = server.stop()
                run.expect(status == 0, f"{server.program.name} ended with status {status}")
                server.start()
                # One at a time, as an orchestrator would.
                run.system.wait_until_ready()
                run.system.wait_until_all_consume()
                restarts += 1
    run.notes["restarts"] = restarts


DRILLS = (
    Drill(
        name="rolling-restart",
        harm=f"each role, and nginx, restarted {_ROUNDS} times by SIGTERM under load",
        do=_restart_all,
        plan=Plan(consumers=2, couriers=2, settings=CALM),
        burns_attempts=False,
    ),
)
