"""Drills that restart a server, or every role, as a deployment does."""

import time
from typing import Final

from testbed.echo import Order
from testbed.server import Server
from testbed.system import CALM, Plan
from tests.drills.drill import Drill, Run

_ROUNDS, _SHORT_ROUNDS = 2, 1
_WAIT_S: Final = 0.05
# Slow enough for one consumer while the other is down.
_PAUSE_S: Final = 0.4


def _restart_broker(run: Run) -> None:
    _restart(run, run.system.broker)


def _restart_store(run: Run) -> None:
    _restart(run, run.system.store)


def _restart(run: Run, server: Server) -> None:
    """Stop and start *server* three times under load, once by SIGKILL."""
    # Never killed first: a node of RabbitMQ 3.10 that is killed within seconds of a queue's
    # birth has that queue, but nobody can consume it any more.
    endings = [server.stop, server.kill]
    run.chance.shuffle(endings)
    endings.insert(0, server.stop)
    with run.clients.load(pause_s=_PAUSE_S, order=Order.WAIT, parameter=2):
        for end in endings:
            time.sleep(run.chance.uniform(0.5, 2.0))
            end()
            time.sleep(run.chance.uniform(0.2, 1.5))  # how long it is away
            server.start()
            run.see_one_through()
    run.notes["endings"] = " ".join(end.__name__ for end in endings)


def _restart_all(run: Run) -> None:
    """Stop and start one role after another under load, in a new order each round."""
    restarts = 0
    with run.clients.load(pause_s=_PAUSE_S, order=Order.WAIT, parameter=round(_WAIT_S * 100)):
        for _ in range(_SHORT_ROUNDS if run.short else _ROUNDS):
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
        name="broker-restart",
        harm="RabbitMQ stopped and started 3 times under load, once by kill -9",
        do=_restart_broker,
        plan=Plan(consumers=2, settings=CALM, has_own_broker=True),
        burns_attempts=False,
    ),
    Drill(
        name="store-restart",
        harm="the store stopped and started 3 times under load, once by kill -9",
        do=_restart_store,
        # A consumer that waits in vain for the store repeats its claim after up to 3 s. A lease
        # must be clearly longer, or its message seems to be lost.
        plan=Plan(
            consumers=2, settings={"DARKROOM_STORE_TIMEOUT_S": "3", "DARKROOM_LEASE_S": "10"}
        ),
        burns_attempts=False,
    ),
    Drill(
        name="rolling-restart",
        harm="each role, and nginx, restarted twice by SIGTERM under load",
        do=_restart_all,
        plan=Plan(consumers=2, couriers=2, settings=CALM),
        burns_attempts=False,
    ),
)
