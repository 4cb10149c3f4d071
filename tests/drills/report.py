"""Results as tables, and as lines with the reasons."""

from collections.abc import Iterable, Sequence
from typing import Final

from testbed import markdown
from tests.drills.all import DRILLS
from tests.drills.drill import DrillResult

# The places of the tables in docs/reliability.md.
DRILLS_MARK: Final = "./start.sh drill --write docs/reliability.md"
WITHOUT_MARK: Final = "./start.sh drill ... --without ... --write docs/reliability.md"
_HEAD: Final = (
    "drill", "harm", "jobs", "done", "failed", "cancelled", "lost", "stuck", "wrong", "double",
    "more than one attempt", "published again", "seconds", "verdict",
)  # fmt: skip


def table(outcomes: Iterable[DrillResult]) -> str:
    """Format *outcomes* as a Markdown table, one line each."""
    return markdown.table(_HEAD, map(_row, outcomes))


def details(outcome: DrillResult) -> str:
    """Describe what one run did and found."""
    findings = outcome.findings
    found = {
        "lost": findings.lost,
        "stuck": findings.stuck,
        "wrong": findings.wrong,
        "double": findings.double,
        "fault": outcome.faults,
        "why": [outcome.skipped] if outcome.skipped else [],
        "logs": [outcome.logs] if outcome.logs else [],
    }
    notes = ", ".join(f"{name} {value}" for name, value in outcome.notes.items())
    lines = [f"{outcome.drill}, seed {outcome.seed}: {outcome.verdict} ({notes})"]
    lines += [f"  {kind}: {what}" for kind, all_of_it in found.items() for what in all_of_it[:10]]
    return "\n".join(lines)


def matrix(outcomes: Sequence[DrillResult]) -> str:
    """Show which drill notices which missing guarantee, as a Markdown table."""
    drills = list(dict.fromkeys(outcome.drill for outcome in outcomes))
    rows = []
    for without in dict.fromkeys(outcome.without for outcome in outcomes):
        cells = (
            "; ".join(
                _in_short(outcome)
                for outcome in outcomes
                if (outcome.drill, outcome.without) == (drill, without)
            )
            for drill in drills
        )
        rows.append((f"{without}", *cells))
    return markdown.table(("without", *drills), rows)


def _in_short(outcome: DrillResult) -> str:
    findings = outcome.findings
    counts = {
        "lost": len(findings.lost),
        "stuck": len(findings.stuck),
        "wrong": len(findings.wrong),
        "double": len(findings.double),
    }
    found = [f"{kind} {count}" for kind, count in counts.items() if count]
    return " ".join(["RED:", *found, *outcome.faults]) if outcome.is_red else outcome.verdict


def _row(outcome: DrillResult) -> tuple[str, ...]:
    findings = outcome.findings
    numbers = (
        findings.jobs, findings.done, findings.failed, findings.cancelled,
        len(findings.lost), len(findings.stuck), len(findings.wrong), len(findings.double),
        findings.more_attempts, findings.published_again, round(outcome.seconds),
    )  # fmt: skip
    return (
        outcome.drill, DRILLS[outcome.drill].harm, *map(str, numbers), outcome.verdict
    )  # fmt: skip
