"""Drills that fill a disk: everybody's, the store's, or RabbitMQ's."""

from contextlib import suppress
from typing import Final

import requests
from pika.exceptions import AMQPError

from common.rabbitmq.topology import EXCHANGE, ROUTING_KEY
from testbed.echo import Order
from testbed.supervised import Supervised
from testbed.system import CALM, Plan
from testbed.waiting import wait_for
from tests.drills.drill import Drill, Run
from tests.hostile_messages import strangers

_JOBS_BEFORE: Final = 8
_MESSAGES: Final = 200
_REFUSALS: Final = 8
_WITHIN_S: Final = 90.0
_HEARTBEAT_S: Final = 10
_FULL: Final = "storage-full"
# What has to be free for an image to be taken, and at what RabbitMQ raises its alarm.
_MIN_FREE_MIB: Final = 100
_SHORT_MIB: Final = 70


def _fill_all(run: Run) -> None:
    """Fill the disk of a standalone system: until images are refused, then completely."""
    system = run.system
    assert isinstance(system, Supervised)
    supervisor = system.status()["supervisor"]
    disk = system.disks["state"]
    first, *_ = run.clients.submit_many(_JOBS_BEFORE, Order.WAIT, 2)
    with run.clients.load(clients=2, order=Order.WAIT, parameter=2):
        disk.fill(leaving_mib=_SHORT_MIB)
        _wait_for_refusals(run)
        run.expect(not system.status()["ready"], "it was ready without space")
        [broker] = system.status()["roles"]["rabbitmq"]
        disk.fill()
        _publish(run)
        _wait_for_refusals(run)
        run.expect(_can_be_read(run, first), "a job could not be read while the disk was full")
        run.expect(system.status()["supervisor"] == supervisor, "the supervisor died")
        disk.empty()
        run.see_one_through()
    run.expect(system.status()["supervisor"] == supervisor, "the supervisor died")
    wait_for(lambda: system.status()["ready"], within_s=_WITHIN_S, what="it is ready again")
    run.notes["RabbitMQ was restarted"] = system.status()["roles"]["rabbitmq"] != [broker]
    run.notes["refused"] = run.clients.refusals[_FULL]


def _fill_store(run: Run) -> None:
    """Fill the disk of the store, which only the store's errors reveal."""
    [disk] = run.system.disks.values()
    first, *_ = run.clients.submit_many(_JOBS_BEFORE, Order.WAIT, 2)
    with run.clients.load(order=Order.WAIT, parameter=2):
        disk.fill()
        _wait_for_refusals(run)
        run.expect(_can_be_read(run, first), "a job could not be read while the disk was full")
        disk.empty()
        run.see_one_through()
    run.notes["refused"] = run.clients.refusals[_FULL]


def _fill_broker(run: Run) -> None:
    """Fill the disk of RabbitMQ to its alarm, then completely, which breaks its queues."""
    [disk] = run.system.disks.values()
    with run.clients.load(clients=2, order=Order.WAIT, parameter=2):
        run.clients.submit_many(_JOBS_BEFORE, Order.WAIT, 2)
        disk.fill(leaving_mib=_SHORT_MIB)
        _wait_for_refusals(run)
        disk.fill()
        _write_beyond_the_end(run)
        _wait_for_refusals(run)
        disk.empty()
        _renew_broker(run)
        run.see_one_through()
    run.notes["refused"] = run.clients.refusals[_FULL]


def _write_beyond_the_end(run: Run) -> None:
    """Publish until RabbitMQ notices that its disk is full; it checks every ten seconds."""

    def has_met_it() -> bool:
        _publish(run)
        return run.system.broker.has_said("enospc") or not run.system.broker.is_running

    wait_for(has_met_it, within_s=_WITHIN_S, what="RabbitMQ has met the end of its disk")


def _publish(run: Run) -> None:
    """Make RabbitMQ write as long as it accepts messages."""
    bodies = strangers(run.chance)
    with suppress(AMQPError, OSError), run.system.channel(heartbeat_s=_HEARTBEAT_S) as channel:
        for _ in range(_MESSAGES):
            channel.basic_publish(EXCHANGE, ROUTING_KEY, next(bodies))


def _renew_broker(run: Run) -> None:
    """Restart the node, as the supervisor of ./start.sh does."""
    run.notes["the node had ended"] = not run.system.broker.is_running
    run.system.broker.kill()
    run.system.broker.start()


def _wait_for_refusals(run: Run) -> None:
    wanted = run.clients.refusals[_FULL] + _REFUSALS
    wait_for(
        lambda: run.clients.refusals[_FULL] >= wanted,
        within_s=_WITHIN_S,
        what="images are refused for want of space",
    )


def _can_be_read(run: Run, job_id: str) -> bool:
    return requests.get(f"{run.system.url}/jobs/{job_id}", timeout=30).ok


DRILLS = (
    Drill(
        name="disk-full",
        harm="the disk of a whole standalone system filled, to its reserve and to the last byte",
        do=_fill_all,
        makes=Supervised,
        plan=Plan(
            disks={"state": 400},
            has_own_broker=True,
            settings={**CALM, "DARKROOM_MIN_FREE_MB": str(_MIN_FREE_MIB)},
        ),
        loses_messages=True,
        burns_attempts=False,
    ),
    Drill(
        name="store-disk-full",
        harm="the disk of the store alone filled to the last byte, without a warning",
        do=_fill_store,
        plan=Plan(disks={"store/databases": 32}, settings=CALM),
        burns_attempts=False,
    ),
    Drill(
        name="broker-disk-full",
        harm="the disk of RabbitMQ alone filled, to its alarm and to the last byte",
        do=_fill_broker,
        plan=Plan(
            disks={"rabbitmq/mnesia": 200},
            has_own_broker=True,
            settings={**CALM, "DARKROOM_MIN_FREE_MB": str(_MIN_FREE_MIB)},
        ),
        loses_messages=True,
        burns_attempts=False,
    ),
)
