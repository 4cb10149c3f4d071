"""A drill that upgrades role by role to a later version of the code, and rolls back."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import requests

from testbed.echo import Order
from testbed.server import Server
from testbed.system import CALM, Plan
from tests.drills.audit import Findings
from tests.drills.drill import Drill, Run
from tests.unreadable_records import changed, sow
from tests.versions import MEMBER, in_version, make_later_version

_WAIT_S: Final = 0.05
_PAUSE_S: Final = 0.4
_LOOK_EVERY_S: Final = 0.2
_TIMEOUT_S: Final = 30
_CRASHED: Final = frozenset({"failed"})

# What an answer of 503 may say while roles change: they are away, or it is another version's.
_HONEST: Final = ("api-unavailable", "not-ready", "job-unreadable")


def _upgrade_and_roll_back(run: Run) -> None:
    """Upgrade one role after another under load, as docs/operations.md says; then roll back."""
    roles = [*run.system.consumers, *run.system.couriers, run.system.api]
    earlier = {role: role.program for role in roles}
    later = make_later_version(run.system.folder / "later")
    with run.system.database() as database, run.system.channel() as channel:
        unreadable = sow(database, channel)
    load = run.clients.load(pause_s=_PAUSE_S, order=Order.WAIT, parameter=round(_WAIT_S * 100))
    with _readers(run, list(unreadable)), load:
        for role in roles:
            _replace(run, role, later)
        run.expect(_serves_spare(run), "the later version does not run")
        for role in roles:
            role.program = earlier[role]
            _replace(run, role, None)
    run.expect(not _serves_spare(run), "the earlier version does not run again")
    with run.system.database() as database:
        touched = changed(database, unreadable)
    run.expect(not touched, f"records that nobody can read were changed: {touched[:5]}")
    run.notes |= {"replaced": 2 * len(roles), "unreadable": len(unreadable)}


def _replace(run: Run, role: Server, folder: Path | None) -> None:
    status = role.stop()
    run.expect(status == 0, f"{role.program.name} ended with status {status}")
    if folder is not None:
        role.program = in_version(role.program, folder)
    role.start()
    run.system.wait_until_ready()
    run.system.wait_until_all_consume()
    if role in run.system.consumers:
        # One attempt at least is another version's than that which records the job.
        run.clients.submit(Order.CRASH, states=_CRASHED, problem="engine-died")


def _serves_spare(run: Run) -> bool:
    """Return whether ``/models`` names the model that is in a state of the later version."""
    models = requests.get(run.system.url + "/models", timeout=_TIMEOUT_S).json()["models"]
    return "spare" in {model["name"] for model in models}


@contextmanager
def _readers(run: Run, unreadable: Sequence[str]) -> Iterator[None]:
    """Read everything readable all the time; no answer may be a fault of the service."""
    ending = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_read_on, run, unreadable, ending)
        try:
            yield
        finally:
            ending.set()
    answers = reading.result()
    run.expect(answers["job-unreadable"], "no job was said to be unreadable")
    run.notes["read"] = dict(answers)


def _read_on(run: Run, unreadable: Sequence[str], ending: threading.Event) -> Counter[str]:
    answers: Counter[str] = Counter()
    next_unreadable = cycle(unreadable)
    while not ending.wait(_LOOK_EVERY_S):
        # The last ones, which change, and the first, which another version may have ended.
        job_ids = list(run.ledger.expected)
        job_ids = [*job_ids[-2:], *job_ids[:1], next(next_unreadable)]
        jobs = [f"/jobs/{job_id}" for job_id in job_ids]
        for path in (*jobs, "/models", "/readyz"):
            answers[_answer(run, path)] += 1
    return answers


def _answer(run: Run, path: str) -> str:
    response = requests.get(run.system.url + path, timeout=_TIMEOUT_S)
    if response.status_code == HTTPStatus.OK:
        return "ok"
    problem = str(response.json()["type"]).rpartition(":")[2]
    is_honest = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and problem in _HONEST
    run.expect(is_honest, f"GET {path}: {response.status_code} {problem}")
    return problem


def _nothing_was_forgotten(run: Run, _findings: Findings) -> None:
    """Expect jobs that both versions worked on, with everything that the later one wrote."""
    with run.system.database() as database:
        jobs = list(database["jobs"].find())
    documents = [job for job in jobs if job["_id"] in run.ledger.expected]
    recorded = [job for job in documents if MEMBER in job]
    run.expect(
        all(MEMBER in job["image"] and MEMBER in job["idempotency"] for job in recorded),
        "members of the later version were lost",
    )
    crossed = {
        "later to earlier": sum(not _is_later(job) for job in recorded if "result" in job),
        "earlier to later": sum(_is_later(job) for job in documents if MEMBER not in job),
    }
    run.notes |= crossed
    for direction, count in crossed.items():
        run.expect(count, f"no job went from the {direction}: this proves nothing")


def _is_later(job: dict[str, Any]) -> bool:
    return MEMBER in job.get("result", {})


DRILLS = (
    Drill(
        name="upgrade-and-rollback",
        harm="each role replaced by a later version's under load, one by one, and then back, "
        "among records that nobody can read",
        do=_upgrade_and_roll_back,
        plan=Plan(consumers=2, settings={**CALM, "DARKROOM_MAX_ATTEMPTS": "2"}),
        burns_attempts=False,
        check=_nothing_was_forgotten,
    ),
)
