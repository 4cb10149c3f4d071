"""The figures as one picture, drawn without a screen."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.outcome import Outcome

_COLUMNS: Final = 2
_SIZE_IN: Final = (6.4, 3.6)  # of each chart
_DPI: Final = 110
_ONE_BAR: Final = 0.8  # of the room that a group of bars has
_ROOM_FOR_LEGEND: Final = 1.4

Draw = Callable[[Axes, Mapping[str, Any]], None]


def draw(outcomes: Sequence[Outcome], *paths: Path) -> bool:
    """Draw a chart of each part that has one; tell whether there was any."""
    drawn = [
        (chart, outcome.figures)
        for outcome in outcomes
        for chart in _CHARTS.get(outcome.part, ())
        if not outcome.fault
    ]
    if not drawn:
        return False
    # So that the same figures make the same file.
    with mpl.rc_context({"svg.hashsalt": "darkroom", "svg.fonttype": "none", "font.size": 8}):
        rows = -(-len(drawn) // _COLUMNS)
        figure = Figure(figsize=(_SIZE_IN[0] * _COLUMNS, _SIZE_IN[1] * rows), layout="constrained")
        places = figure.subplots(rows, _COLUMNS, squeeze=False).flat
        for (chart, figures), axes in zip(drawn, places, strict=False):
            chart(axes, figures)
        for axes in places:  # the rest
            axes.set_visible(False)
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=_DPI, metadata=metadata)
    return True


def _limit(axes: Axes, figures: Mapping[str, Any]) -> None:
    lines = figures["lines"]
    small = [line for line in lines if line["size"] == lines[0]["size"]]
    groups = list(dict.fromkeys(line["model"] for line in small))
    bars = {
        runtime: {
            line["model"]: line["images_a_second"]["median"]
            for line in small
            if line["runtime"] == runtime
        }
        for runtime in dict.fromkeys(line["runtime"] for line in small)
    }
    width, height = lines[0]["size"]
    _grouped(axes, groups, bars)
    axes.set_yscale("log")
    axes.set(title=f"One core, images of {width}x{height}", ylabel="images/s")


def _sizes(axes: Axes, figures: Mapping[str, Any]) -> None:
    lines = [line for line in figures["lines"] if line["model"] == figures["lines"][0]["model"]]
    name = lines[0]["model"]
    for runtime in dict.fromkeys(line["runtime"] for line in lines):
        own = [line for line in lines if line["runtime"] == runtime]
        megapixels = [line["size"][0] * line["size"][1] / 10**6 for line in own]
        speeds = [line["images_a_second"]["median"] for line in own]
        axes.plot(megapixels, speeds, marker="o", label=runtime)
    axes.set_xscale("log")
    axes.set(title=f"One core, {name}", xlabel="megapixels", ylabel="images/s")
    axes.legend()


def _processor_time(axes: Axes, figures: Mapping[str, Any]) -> None:
    turns = figures["turns"]
    names = list(turns)
    roles = [role for role in turns[names[0]][0]["cpu_ms"] if role != "engine"]
    left = [0.0] * len(names)
    for role in roles:
        widths = [_median([turn["cpu_ms"][role] for turn in turns[name]]) for name in names]
        axes.barh(names, widths, left=left, label=role)
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    # With room for the legend.
    axes.set(
        title="Processor time beside the engines", xlabel="ms a job", xlim=(0, max(left) * 1.4)
    )
    axes.legend(loc="upper right")


def _saturated(axes: Axes, figures: Mapping[str, Any]) -> None:
    alone = figures["one engine alone, images/s"]
    speeds = {
        name: [turn["images_a_second"] for turn in turns]
        for name, turns in figures["turns"].items()
    }
    speeds = {"one engine alone": alone} | speeds
    axes.boxplot(list(speeds.values()), orientation="horizontal", tick_labels=list(speeds))
    axes.set(title="The service, saturated", xlabel="images/s", xlim=(0, None))


def _latency(axes: Axes, figures: Mapping[str, Any]) -> None:
    for name in ("bare", "service", "over"):
        values = sorted(figures["ms"][name])
        shares = [100 * (number + 1) / len(values) for number in range(len(values))]
        axes.plot(values, shares, label=name)
    axes.set(title="One image at a time, idle", xlabel="ms", ylabel="% of images", xlim=(0, None))
    axes.legend()


def _posting(axes: Axes, figures: Mapping[str, Any]) -> None:
    names = list(figures)
    rates = [[one["a second"] for one in figures[name]] for name in names]
    axes.boxplot(rates, orientation="horizontal", tick_labels=names)
    axes.set(title="Images of 60 kB accepted", xlabel="a second", xlim=(0, None))


def _growth(axes: Axes, figures: Mapping[str, Any]) -> None:
    steps = figures["growth"]
    for name in ("POST", "poll", "claim", "round"):
        ratios = [step[name]["ratio"]["median"] for step in steps.values()]
        axes.plot(range(len(steps)), ratios, marker="o", label=name)
    axes.set_xticks(range(len(steps)), [label.replace(", ", ",\n") for label in steps], fontsize=6)
    axes.set(title="Growth", ylabel="times that with none", ylim=(0, None))
    axes.legend()


def _starts(axes: Axes, figures: Mapping[str, Any]) -> None:
    times_s = figures["s"]
    axes.barh(list(times_s), [_median(values) for values in times_s.values()])
    axes.invert_yaxis()
    axes.set(title="Cold starts", xlabel="s")


def _grouped(axes: Axes, groups: Sequence[str], bars: Mapping[str, Mapping[str, float]]) -> None:
    width = _ONE_BAR / len(bars)
    for number, (name, values) in enumerate(bars.items()):
        places = [at + number * width for at in range(len(groups))]
        axes.bar(places, [values.get(group, 0.0) for group in groups], width, label=name)
    middle = width * (len(bars) - 1) / 2
    axes.set_xticks([at + middle for at in range(len(groups))], groups)
    axes.legend()


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


_CHARTS: Final[Mapping[str, Sequence[Draw]]] = {
    "limit": (_limit, _sizes),
    "service": (_saturated, _processor_time),
    "latency": (_latency,),
    "posting": (_posting,),
    "growth": (_growth,),
    "start": (_starts,),
}
