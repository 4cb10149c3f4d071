"""The result of a part of the benchmark, as it is stored and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from benchmarks.figures import Spread, short, spread

# Text, one figure, or the figures of several rounds, which are shown as their spread.
Cell = str | int | float | Spread | Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of figures."""

    caption: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The rows as text."""
        return [tuple(map(shown, row)) for row in self.rows]


def shown(cell: Cell) -> str:
    match cell:
        case int():
            return f"{cell:,}"
        case float():
            return short(cell)
        case str() | Spread():
            return str(cell)
        case _:
            return str(spread(cell))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target, and the value measured in this run."""

    what: str
    measured: str
    is_met: bool


def at_least(what: str, least: float, measured: Spread) -> Target:
    return Target(what=what, measured=str(measured), is_met=measured.median >= least)


def at_most(what: str, most: float, measured: float, said: str) -> Target:
    return Target(what=what, measured=said, is_met=measured <= most)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """The result of one part.

    Args:
        part: Its name.
        seconds: How long it took.
        tables: The figures for people.
        targets: What was wished for.
        figures: What else was measured, for programs; what JSON can hold.
        fault: Why the part did not come to its end; empty if it did.
    """

    part: str
    seconds: float = 0.0
    tables: tuple[Table, ...] = ()
    targets: tuple[Target, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""


# Writes a result as JSON and reads it again.
JSON: Final = TypeAdapter(PartResult)
