"""What a part of the benchmark found, as it is kept and shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures for people."""

    caption: str
    head: Row
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What was wished for, and what was measured in this run."""

    what: str
    measured: str
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one part.

    Args:
        part: Its name.
        seconds: How long it took.
        tables: The figures for people.
        targets: What was wished for.
        figures: All that was measured, for programs and charts; what JSON can hold.
        fault: Why the part did not come to its end; empty if it did.
    """

    part: str
    seconds: float = 0.0
    tables: tuple[Table, ...] = ()
    targets: tuple[Target, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` gave, after it went through JSON."""
        tables = tuple(
            Table(
                caption=one["caption"],
                head=tuple(one["head"]),
                rows=tuple(tuple(row) for row in one["rows"]),
            )
            for one in kept["tables"]
        )
        targets = tuple(Target(**one) for one in kept["targets"])
        return cls(**{**kept, "tables": tables, "targets": targets})
