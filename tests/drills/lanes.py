"""A drill with consumers that are stuck although they send heartbeats."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pymongo.collection import Collection

from testbed import hanging
from testbed.echo import Order
from testbed.hanging import Place
from testbed.processes import engines_of, stand_still
from testbed.server import Server
from testbed.system import Plan
from testbed.waiting import wait_for
from tests.drills.drill import Drill, Run

Document = dict[str, Any]

_HANGING: Final = 2
_TIME_LIMIT_S: Final = 3
_GRACE_S: Final = 2
_JOBS: Final = 8
_SHORT_S: Final = 0.3
# Time enough to stop the engine in.
_LONG_S: Final = 1.0
_WITHIN_S: Final = 120.0
_PROBLEM: Final = "urn:darkroom:problem:"


def _hang_lanes(run: Run) -> None:
    """Let lanes hang before the engine and before the save; freeze an engine."""
    consumers = [
        run.system.another_consumer(f"hanging-{number}", first=(hanging.__name__,))
        for number in range(1, _HANGING + 1)
    ]
    for consumer in consumers:
        consumer.launch()
    run.system.wait_until_all_consume()
    places = list(Place)
    run.chance.shuffle(places)
    for place in places:
        _hang(run, consumers, place)
        run.system.wait_until_all_consume()
    _stop_engine(run)
    run.notes["lanes hung"] = len(places) * len(consumers)


def _hang(run: Run, consumers: list[Server], place: Place) -> None:
    """See another consumer do the jobs of hanging lanes; then free the lanes."""
    order = hanging.order_file(run.system.folder)
    order.write_text(place)
    try:
        run.clients.submit_many(_JOBS, Order.WAIT, round(_SHORT_S * 100))
        hung = {_job_in(run.system.folder, consumer): consumer for consumer in consumers}
        for job_id in hung:
            _wait_for_end(run, job_id)
        said_bytes = {consumer: len(consumer.printed()) for consumer in consumers}
    finally:
        order.unlink()
    for job_id, consumer in hung.items():
        _wait_for_word(consumer, job_id, since=said_bytes[consumer])
        _expect_setbacks(run, job_id, "consumer-stuck")


def _job_in(folder: Path, consumer: Server) -> str:
    """Wait until the lane of *consumer* hangs; return the id of its job."""
    report = hanging.report_file(folder, consumer.pid)
    wait_for(report.exists, within_s=_WITHIN_S, what=f"{consumer.program.name} hangs")
    job_id = report.read_text()
    report.unlink()
    return job_id


def _wait_for_word(consumer: Server, job_id: str, *, since: int) -> None:
    """Wait until *consumer* has logged what became of its old job."""
    wait_for(
        lambda: job_id.encode() in consumer.printed()[since:],
        within_s=_WITHIN_S,
        what=f"{consumer.program.name} goes on",
    )


def _stop_engine(run: Run) -> None:
    """Freeze an engine with a job: it is killed, and its parent goes on."""
    with run.system.database() as database:
        while not _stands_still(run, database["jobs"]):
            pass


def _stands_still(run: Run, jobs: Collection[Document]) -> bool:
    """Freeze the engine that has a new job; return False if the job was answered before."""
    job_id = run.clients.submit(Order.WAIT, round(_LONG_S * 100))
    held = {"_id": job_id, "state": "processing"}
    wait_for(
        lambda: jobs.find_one(held) or run.witness.has_ended(job_id),
        within_s=_WITHIN_S,
        what="the job is claimed",
    )
    if (job := jobs.find_one(held)) is None:
        return False
    engines = engines_of(run.system.owner_of(job).pid)
    for pid in engines:
        stand_still(pid)
    _wait_for_end(run, job_id)
    if not (jobs.find_one({"_id": job_id}) or {}).get("setbacks"):
        for pid in engines:
            # Killed if it had another question: then this job's loss was shared and cost nothing.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return False
    _expect_setbacks(run, job_id, "engine-timeout")
    return True


def _wait_for_end(run: Run, job_id: str) -> None:
    wait_for(
        lambda: run.witness.has_ended(job_id),
        within_s=_WITHIN_S,
        what="the job of a lane that hangs ends without it",
    )


def _expect_setbacks(run: Run, job_id: str, *problems: str) -> None:
    with run.system.database() as database:
        job = database["jobs"].find_one({"_id": job_id}) or {}
    reasons = [setback["reason"]["type"] for setback in job.get("setbacks", ())]
    run.expect(
        reasons == [_PROBLEM + problem for problem in problems],
        f"{job_id} had the setbacks {reasons}",
    )


DRILLS = (
    Drill(
        name="lane-hang",
        harm=f"{_HANGING} of {_HANGING + 1} consumers hang over a job though their hearts beat, "
        "before they ask the engine and before they save; an engine stands still",
        do=_hang_lanes,
        plan=Plan(
            settings={
                "DARKROOM_JOB_TIME_LIMIT_S": str(_TIME_LIMIT_S),
                "DARKROOM_GRACE_S": str(_GRACE_S),
            },
        ),
    ),
)
