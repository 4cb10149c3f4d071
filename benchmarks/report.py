"""Results as Markdown, and as text for a terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.result import PartResult, Table
from testbed.markdown import table

# The place of the figures in docs/performance.md.
MARK: Final = "./start.sh bench --write docs/performance.md"


def markdown(results: Sequence[PartResult], machine: Mapping[str, str]) -> str:
    """Write the figures as Markdown: first the targets, then every table."""
    described = "; ".join(f"{name}: {value}" for name, value in machine.items())
    paragraphs = [
        f"Measured with {described}.",
        targets_table(results),
        *(
            f"**{one.caption}**\n\n{table(one.head, one.texts)}"
            for result in results
            for one in result.tables
        ),
        *(f"{one.part} did not come to its end: {one.fault}" for one in results if one.fault),
    ]
    return "\n\n".join(filter(None, paragraphs))


def targets_table(results: Sequence[PartResult]) -> str:
    """Compare the targets with the measurements; return nothing if there are none."""
    targets = [target for result in results for target in result.targets]
    rows = [(one.what, one.measured, "yes" if one.is_met else "no") for one in targets]
    return table(("target", "measured", "met?"), rows) if rows else ""


def text(shown: Table) -> str:
    """Format a table for a terminal."""
    rows = (shown.head, *shown.texts)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join((f"\n{shown.caption}", *lines))


def say(line: str) -> None:
    """Print a progress line to standard error."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
