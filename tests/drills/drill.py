"""What a drill is, and how it is run."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from testbed.disks import NoMountsError
from testbed.system import Plan, System
from testbed.waiting import wait_for
from tests.drills import without as taking_away
from tests.drills.audit import Findings, Witness, audit
from tests.drills.clients import Clients
from tests.drills.ledger import Ledger
from tests.drills.without import VARIABLE as MISSING

# Jobs are stuck if none has ended for so long.
_END_WITHIN_S: Final = 180.0


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of one drill, with everything it may use."""

    system: System
    ledger: Ledger
    clients: Clients
    witness: Witness
    chance: random.Random
    short: bool  # whether somebody waits: drills that take long may take less
    notes: dict[str, Any] = field(default_factory=dict)  # for the table: what was done
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: object, what: str) -> None:
        """Note a fault, unless *what* holds."""
        if not holds:
            self.faults.append(what)

    def wait_for_all_ends(self, *, within_s: float) -> None:
        """Wait until every job that was accepted so far has ended."""
        jobs = list(self.ledger.expected)
        wait_for(
            lambda: all(map(self.witness.has_ended, jobs)),
            within_s=within_s,
            what="all jobs have ended",
        )

    def see_one_through(self) -> None:
        """Submit one image and wait for its end: then all parts work together again."""
        job_id = self.clients.submit()
        wait_for(
            lambda: self.witness.has_ended(job_id), within_s=_END_WITHIN_S, what="a job has ended"
        )


class CannotHereError(Exception):
    """This machine lacks something that the drill needs."""


Harm = Callable[[Run], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One kind of harm, and the system that suffers it.

    Args:
        name: What it is called on the command line.
        harm: What is done, in one line.
        do: Submits the jobs and does the harm; returns when the audit may begin.
        plan: The system.
        makes: Makes that system, as `System` does.
        loses_messages: Whether the harm takes messages away, so that some must be published
            again. Where it does not, one that was published again is a fault.
        burns_attempts: Whether the harm costs attempts. Where it does not, a job that needed
            more than one is a fault, unless it was to fail.
        check: What more there is to expect of the findings.
    """

    name: str
    harm: str
    do: Harm
    plan: Plan = field(default_factory=Plan)
    makes: Callable[..., System] = System
    loses_messages: bool = False
    burns_attempts: bool = True
    check: Callable[[Run, Findings], None] | None = None


@dataclass(slots=True, kw_only=True)
class DrillResult:
    """The result of one run of one drill."""

    drill: str
    seed: int
    without: str | None
    seconds: float
    findings: Findings
    notes: dict[str, Any]
    faults: list[str]
    skipped: str = ""  # why it could not be run here
    logs: str = ""  # where they are, if it is red

    @property
    def is_red(self) -> bool:
        return not self.skipped and not (self.findings.are_good and not self.faults)

    @property
    def verdict(self) -> str:
        if self.skipped:
            return "skipped"
        return "RED" if self.is_red else "green"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}


def run_drill(
    drill: Drill,
    make_system: Callable[[Plan], System],
    *,
    seed: int,
    short: bool,
    without: str | None = None,
) -> DrillResult:
    """Run *drill* on its own system, whose files stay if the drill fails."""
    started_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (repeatable, not secret)
    ledger, system = Ledger(), make_system(_plan(drill, without))
    run = Run(
        system=system,
        ledger=ledger,
        clients=Clients(system.url, ledger, chance),
        witness=Witness(system),
        chance=chance,
        short=short,
    )
    findings, skipped = _do_and_audit(drill, run)
    outcome = DrillResult(
        drill=drill.name,
        seed=seed,
        without=without,
        seconds=round(time.monotonic() - started_s, 1),
        findings=findings,
        notes=run.notes | {"repeated requests": run.clients.repeats},
        faults=run.faults,
        skipped=skipped,
    )
    if outcome.is_red:
        outcome.logs = str(system.folder)
    else:
        system.remove()
    return outcome


def _do_and_audit(drill: Drill, run: Run) -> tuple[Findings, str]:
    """Start the system, break it, audit it, stop it; also return why it was skipped."""
    findings, skipped = Findings(), ""
    try:
        run.system.start()
        with run.witness.watching():
            drill.do(run)
            findings = audit(run.system, run.ledger, run.witness, within_s=_END_WITHIN_S)
        _check(drill, run, findings)
    except (CannotHereError, NoMountsError) as exc:
        if "CI" in os.environ:  # where everything must be there
            run.faults.append(str(exc))
        else:
            skipped = str(exc)
    except Exception as exc:  # noqa: BLE001 (a drill that breaks off is a drill that fails)
        run.faults.append(f"{type(exc).__name__}: {exc}")
    finally:
        for name, status in run.system.stop().items():
            run.expect(status in (0, None), f"{name} ended with status {status}")
    return findings, skipped


def _plan(drill: Drill, without: str | None) -> Plan:
    if without is None:
        return drill.plan
    settings = {**drill.plan.settings, MISSING: without}
    return replace(drill.plan, settings=settings, first=(taking_away.__name__,))


def _check(drill: Drill, run: Run, findings: Findings) -> None:
    run.expect(run.ledger.expected, "no job was accepted")
    if not drill.loses_messages:
        run.expect(
            findings.published_again == 0,
            f"{findings.published_again} messages were lost and published again",
        )
    if not drill.burns_attempts:
        run.expect(
            not findings.burned,
            f"{len(findings.burned)} jobs needed more than one attempt: {findings.burned[:10]}",
        )
    if drill.check is not None:
        drill.check(run, findings)
