"""Drills that kill, freeze and restart our own roles."""

import os
import signal
import time
from contextlib import suppress

from testbed.echo import Order
from testbed.processes import engines_of
from testbed.server import Server
from testbed.system import CALM, Plan
from testbed.waiting import wait_for
from tests.drills.audit import Findings
from tests.drills.drill import Drill, Run

_KILLS, _SHORT_KILLS = 20, 10
_API_KILLS, _SHORT_API_KILLS = 20, 10
_COURIER_KILLS, _SHORT_COURIER_KILLS = 15, 8
_JOBS, _SHORT_JOBS = 500, 250
_AT_WORK_WITHIN_S = 180
# Longer than an engine takes to load, or its consumer's delivery would be taken for lost.
_KILLED = {"DARKROOM_LEASE_S": "8"}


def _kill_consumers(run: Run) -> None:
    """Kill random parents and engines, and start the parents again."""
    kills, jobs = (_SHORT_KILLS, _SHORT_JOBS) if run.short else (_KILLS, _JOBS)
    with run.clients.load(pause_s=0.5, order=Order.WAIT, parameter=5):
        for _ in range(kills):
            time.sleep(run.chance.uniform(0, 0.5))
            consumer = _one_at_work(run)
            if run.chance.random() < 0.5:
                _kill_engine(consumer)
            else:
                _kill_and_launch(consumer)
    run.clients.submit_many(max(0, jobs - len(run.ledger.expected)))
    run.notes["kills"] = kills


def _kill_api(run: Run) -> None:
    """Kill random uWSGI workers while clients repeat their requests."""
    kills = _SHORT_API_KILLS if run.short else _API_KILLS
    with run.clients.load(clients=8, pause_s=0.02):
        for _ in range(kills):
            time.sleep(run.chance.uniform(0.3, 1.4))
            worker = run.chance.choice(run.system.api.children() or [None])
            if worker is not None:
                _kill(worker)
    run.clients.repeat_all()
    run.notes["kills"] = kills
    _compare_with_the_store(run)


def _compare_with_the_store(run: Run) -> None:
    """Expect one record per key; count the images without a record."""
    with run.system.database() as database:
        job_ids, image_ids = (
            {document["_id"] for document in database[name].find({}, {"_id": True})}
            for name in ("jobs", "images")
        )
    keys = run.ledger.keys
    run.expect(len(job_ids) == keys, f"{len(job_ids)} records for {keys} keys")
    run.expect(job_ids <= image_ids, f"records without an image: {job_ids - image_ids}")
    # Of workers that were killed between the two inserts; the courier deletes them in the end.
    run.notes["orphaned images"] = len(image_ids - job_ids)


def _kill_couriers(run: Run) -> None:
    """Kill random couriers while all have a lot to do."""
    system = run.system
    kills = _SHORT_COURIER_KILLS if run.short else _COURIER_KILLS
    with run.clients.load(pause_s=0.5, order=Order.WAIT, parameter=5):
        for kill in range(kills):
            time.sleep(run.chance.uniform(0.2, 1.0))
            _kill_and_launch(run.chance.choice(system.couriers))
            match kill % 7:
                case 0 | 1:
                    _kill_and_launch(_one_at_work(run))
                case 2:
                    system.broker.stop()
                case 4:
                    system.broker.launch()
                case 6:
                    system.broker.wait_until_ready()
                    run.see_one_through()
    run.notes["kills"] = kills


def _one_at_work(run: Run) -> Server:
    """Wait for a consumer that has a job: otherwise a kill does little harm."""
    at_work: list[Server] = []

    def find() -> list[Server]:
        living = {worker["_id"] for worker in database["workers"].find()}
        jobs = database["jobs"].find({"state": "processing"})
        at_work[:] = run.system.owners_of(job for job in jobs if job["owner"] in living)
        return at_work

    with run.system.database() as database:
        wait_for(find, within_s=_AT_WORK_WITHIN_S, what="a consumer is at work")
    return run.chance.choice(at_work)


def _some_were_rescued(run: Run, findings: Findings) -> None:
    run.expect(findings.more_attempts, "no job was rescued")


def _kill_and_launch(role: Server) -> None:
    role.kill()
    role.launch()


def _kill_engine(consumer: Server) -> None:
    for pid in engines_of(consumer.pid):
        _kill(pid)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it is being started again, just now
        os.kill(pid, signal.SIGKILL)


DRILLS = (
    Drill(
        name="consumer-kill",
        harm="two consumers, a random parent or engine killed (-9) 20 times",
        do=_kill_consumers,
        plan=Plan(consumers=2, settings=_KILLED),
        check=_some_were_rescued,
    ),
    Drill(
        name="api-kill",
        harm="a random uWSGI worker killed (-9) 20 times, while clients repeat until answered",
        do=_kill_api,
        plan=Plan(consumers=2, settings=CALM),
        burns_attempts=False,
    ),
    Drill(
        name="courier-kill",
        harm="two couriers, a random one killed (-9) 15 times, and RabbitMQ stopped at times",
        do=_kill_couriers,
        plan=Plan(consumers=2, couriers=2, settings=_KILLED, has_own_broker=True),
        check=_some_were_rescued,
    ),
)
