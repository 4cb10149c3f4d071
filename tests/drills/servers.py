"""Drills that restart the servers: RabbitMQ and the store."""

import time

from testbed.echo import Order
from testbed.server import Server
from testbed.system import CALM, Plan
from tests.drills.drill import Drill, Run


def _restart_broker(run: Run) -> None:
    _restart(run, run.system.broker)


def _restart_store(run: Run) -> None:
    _restart(run, run.system.store)


def _restart(run: Run, server: Server) -> None:
    """Stop and start *server* three times under load, once with no time to write anything."""
    # Never killed first: a node of RabbitMQ 3.10 that is killed within seconds of a queue's
    # birth has that queue, but nobody can consume it any more.
    endings = [server.stop, server.kill]
    run.chance.shuffle(endings)
    endings.insert(0, server.stop)
    with run.clients.load(pause_s=0.3, order=Order.WAIT, parameter=2):
        for end in endings:
            time.sleep(run.chance.uniform(0.5, 2.0))
            end()
            time.sleep(run.chance.uniform(0.2, 1.5))  # how long it is away
            server.start()
            run.see_one_through()
    run.notes["endings"] = " ".join(end.__name__ for end in endings)


DRILLS = (
    Drill(
        name="broker-restart",
        harm="RabbitMQ stopped and started 3 times under load, once by kill -9",
        do=_restart_broker,
        plan=Plan(consumers=2, settings=CALM),
        burns_attempts=False,
    ),
    Drill(
        name="store-restart",
        harm="the store stopped and started 3 times under load, once by kill -9",
        do=_restart_store,
        # The living have the store's time to say that they live, once it is back.
        plan=Plan(consumers=2, settings={"DARKROOM_STORE_TIMEOUT_S": "3"}),
        burns_attempts=False,
    ),
)
