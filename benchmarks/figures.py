"""Statistics: quartiles, ratios, percentiles."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_LARGE: Final = 100
_MIDDLING: Final = 10


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some measurements, between their quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)} to {short(self.high)})"


def spread(values: Iterable[float]) -> Spread:
    """Return the quartiles of *values*, of which there is at least one."""
    known = list(values)
    if len(known) == 1:
        return Spread(known[0], known[0], known[0])
    return Spread(*statistics.quantiles(known, n=4, method="inclusive"))


def ratio(values: Iterable[float], references: Iterable[float]) -> Spread:
    """Divide each measurement by the reference of its own round."""
    return spread(one / other for one, other in zip(values, references, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that *percent* of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def short(value: float) -> str:
    """Format *value* with its significant digits."""
    if abs(value) >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= _MIDDLING else f"{value:.2f}"


def median_and_p95(values: Sequence[float]) -> str:
    return f"{short(statistics.median(values))} ({short(percentile(values, 95))})"
