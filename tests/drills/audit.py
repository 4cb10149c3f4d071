"""The audit: whether every accepted job ended once, with the right result for its own image."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import requests
from pymongo.database import Database
from pymongo.errors import PyMongoError

from testbed.background import in_background
from testbed.echo import Expectation
from testbed.system import System
from tests.drills.ledger import Ledger

ENDED: Final = ("done", "failed", "cancelled")
_LOOK_AGAIN_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_REST: Final = 5  # times as long as the look before
_PROBLEM: Final = "urn:darkroom:problem:"
# Long enough for a late second result to arrive.
_SETTLE_S: Final = 2.0


@dataclass(slots=True)
class Findings:
    """The jobs that did not end as expected, each with the reason."""

    jobs: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    more_attempts: int = 0  # jobs that needed more than one
    burned: list[str] = field(default_factory=list)  # those of them that were not to fail
    published_again: int = 0  # jobs whose message was taken for lost

    @property
    def are_good(self) -> bool:
        return not (self.lost or self.stuck or self.wrong or self.double)


class Witness:
    """Records every end of every job; a job may end once."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._ends: dict[str, dict[int, tuple[Any, ...]]] = {}
        self.doubles: dict[str, str] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch all jobs while the block runs."""
        with in_background(self._run, name="witness"):
            yield

    def look(self, database: Database[dict[str, Any]]) -> None:
        """Compare every ended job with its earlier end."""
        for state in ENDED:
            for document in database["jobs"].find({"state": state}):
                self._compare(document)

    def has_ended(self, job_id: str) -> bool:
        return job_id in self._ends

    def ends_of(self, job_id: str) -> int:
        """Return at how many fences the job has ended: one, and one more for each retry."""
        return len(self._ends.get(job_id, ()))

    def _compare(self, document: Mapping[str, Any]) -> None:
        seen = (document["state"], document.get("finished_at"), str(document.get("result")))
        ends = self._ends.setdefault(document["_id"], {})
        before = ends.setdefault(document["fence"], seen)
        if before != seen:
            self.doubles[document["_id"]] = f"{before}, and then {seen}"

    def _run(self, ending: threading.Event) -> None:
        pause_s = _LOOK_AGAIN_S
        with self._system.database() as database:
            while not ending.wait(pause_s):
                started_s = time.monotonic()
                # A drill may have stopped the store.
                with suppress(PyMongoError):
                    self.look(database)
                # At many jobs a look takes long, and the store has other things to do.
                took_s = time.monotonic() - started_s
                pause_s = min(max(_LOOK_AGAIN_S, _REST * took_s), _LONGEST_PAUSE_S)


def audit(system: System, ledger: Ledger, witness: Witness, *, within_s: float) -> Findings:
    """Wait until every accepted job has ended, or none has for *within_s*; then check each."""
    findings = Findings(jobs=len(ledger.expected))
    with system.database() as database:
        _wait_for_the_end(database, ledger, within_s)
        time.sleep(_SETTLE_S)
        witness.look(database)
        documents = {document["_id"]: document for document in database["jobs"].find()}
    for job_id, expectation in ledger.expected.items():
        _judge(system, findings, job_id, expectation, documents.get(job_id))
    findings.double += [f"{job_id}: {what}" for job_id, what in witness.doubles.items()]
    findings.double += [
        f"{job_id}: ended {witness.ends_of(job_id)} times"
        for job_id in ledger.expected
        if witness.ends_of(job_id) > 1 and job_id not in ledger.retried
    ]
    findings.double += ledger.doubles
    return findings


def _wait_for_the_end(database: Database[dict[str, Any]], ledger: Ledger, within_s: float) -> None:
    """Return once nothing is unfinished, or nothing has ended for *within_s*."""
    fewest, deadline_s = len(ledger.expected) + 1, 0.0
    while unfinished := _unfinished(database) & ledger.expected.keys():
        if len(unfinished) < fewest:
            fewest, deadline_s = len(unfinished), time.monotonic() + within_s
        elif time.monotonic() > deadline_s:
            return
        time.sleep(_LOOK_AGAIN_S)


def _unfinished(database: Database[dict[str, Any]]) -> set[str]:
    # In one query: between two a job may move from what is asked for second to the first.
    unfinished = {"state": {"$in": ["pending", "processing"]}}
    return {document["_id"] for document in database["jobs"].find(unfinished, {"_id": True})}


def _judge(
    system: System,
    findings: Findings,
    job_id: str,
    expectation: Expectation,
    document: Mapping[str, Any] | None,
) -> None:
    response = requests.get(f"{system.url}/jobs/{job_id}", timeout=30)
    if response.status_code == HTTPStatus.NOT_FOUND or document is None:
        if "deleted" not in expectation.states:
            findings.lost.append(job_id)
        return
    job = response.json()
    match job["state"]:
        case "done":
            findings.done += 1
        case "failed":
            findings.failed += 1
        case "cancelled":
            findings.cancelled += 1
        case unfinished:
            findings.stuck.append(f"{job_id}: {unfinished}, {_gist(document)}")
            return
    if (fault := _fault(job, expectation)) is not None:
        findings.wrong.append(f"{job_id}: {fault}")
    if job["attempts"] > 1:
        findings.more_attempts += 1
        if "failed" not in expectation.states:
            findings.burned.append(job_id)
    findings.published_again += document.get("republished", 0) > 0


def _fault(job: Mapping[str, Any], expectation: Expectation) -> str | None:
    """Return what is wrong with the end of *job*, or None."""
    if job["state"] not in expectation.states:
        return f"{job['state']}, not {' or '.join(sorted(expectation.states))}: {job.get('error')}"
    if job["state"] == "done":
        said = job["result"]["predictions"][0]["label"]
        return None if said == str(expectation.number) else f"{said}, not {expectation.number}"
    if job["state"] == "failed":
        problem = job["error"]["type"].removeprefix(_PROBLEM)
        return None if problem == expectation.problem else f"{problem}, not {expectation.problem}"
    return None


def _gist(document: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = ("state", "fence", "attempts", "owner", "publish_due_ms", "waiting_ms")
    return {name: document[name] for name in wanted if name in document}
