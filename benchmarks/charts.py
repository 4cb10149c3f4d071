"""The charted columns of all tables as one picture, drawn without a screen."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.figures import Spread, spread
from benchmarks.outcome import Cell, Outcome, Table

_WIDTH_IN: Final = 9.0
_BAR_IN: Final = 0.2
_FRAME_BARS: Final = 5  # title and scale need as much room as so many bars
_TITLE_CHARACTERS: Final = 80
_DPI: Final = 110


def draw(outcomes: Sequence[Outcome], *paths: Path) -> bool:
    """Draw a bar for each row, with its quartiles; tell whether there was any to draw."""
    tables = [one for outcome in outcomes if not outcome.fault for one in outcome.tables]
    tables = [one for one in tables if one.chart]
    if not tables:
        return False
    heights = [_BAR_IN * (len(one.rows) + _FRAME_BARS) for one in tables]
    # The salt makes the same file of the same figures.
    with mpl.rc_context({"svg.hashsalt": "darkroom", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(_WIDTH_IN, sum(heights)), layout="constrained")
        places = figure.subplots(len(tables), squeeze=False, height_ratios=heights).flat
        for one, axes in zip(tables, places, strict=True):
            _draw_bars(axes, one)
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=_DPI, metadata=metadata)
    return True


def _draw_bars(axes: Axes, table: Table) -> None:
    column = table.head.index(table.chart)
    bars = [_as_spread(row[column]) for row in table.rows]
    names = [", ".join(one for one in row[:column] if isinstance(one, str)) for row in table.rows]
    low, high = [one.median - one.low for one in bars], [one.high - one.median for one in bars]
    axes.barh(names, [one.median for one in bars], xerr=(low, high))
    axes.invert_yaxis()
    axes.set(title=fill(table.caption, _TITLE_CHARACTERS), xlabel=table.chart)


def _as_spread(cell: Cell) -> Spread:
    match cell:
        case str():
            raise TypeError(f"{cell!r} is no figure")
        case Spread():
            return cell
        case int() | float():
            return spread([cell])
        case _:
            return spread(cell)
