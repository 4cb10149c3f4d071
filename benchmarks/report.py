"""Results as Markdown, and as text for a terminal."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.result import PartResult, Table

# The place of the figures in docs/performance.md.
MARK: Final = "./start.sh bench --write docs/performance.md"


def markdown(results: Sequence[PartResult], machine: Mapping[str, str]) -> str:
    """Write the figures as Markdown: first the targets, then every table."""
    described = "; ".join(f"{name}: {value}" for name, value in machine.items())
    paragraphs = [
        f"Measured with {described}.",
        targets_table(results),
        *(
            f"**{table.caption}**\n\n{markdown_table(table.head, table.texts)}"
            for result in results
            for table in result.tables
        ),
        *(f"{one.part} did not come to its end: {one.fault}" for one in results if one.fault),
    ]
    return "\n\n".join(filter(None, paragraphs))


def targets_table(results: Sequence[PartResult]) -> str:
    """Compare the targets with the measurements; return nothing if there are none."""
    targets = [target for result in results for target in result.targets]
    rows = [(one.what, one.measured, "yes" if one.is_met else "no") for one in targets]
    return markdown_table(("target", "measured", "met?"), rows) if rows else ""


def text(table: Table) -> str:
    """Format a table for a terminal."""
    rows = (table.head, *table.texts)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join((f"\n{table.caption}", *lines))


def write_into(page: Path, content: str) -> None:
    """Replace the text between the marks of *page*.

    Raises:
        ValueError: It has no such marks.
    """
    begin, end = f"<!-- begin: {MARK} -->", f"<!-- end: {MARK} -->"
    before, _, rest = page.read_text().partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{page} has no {begin} ... {end}")
    page.write_text(f"{before}{begin}\n\n{content}\n\n{end}{after}")


def markdown_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (head, tuple("---" for _ in head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def say(line: str) -> None:
    """Print a progress line to standard error."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
