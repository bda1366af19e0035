"""The kinds of chart a report has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from simulator.core.report import BarChart, HeatMap, LineChart
from simulator.results.report.figures import COLOURS, WIDTH, Picture, paint

MOST_LABELS = 24  # on an axis
WIDE = 2 * WIDTH
# From clear to blue, so that it suits any background.
DEPTH = LinearSegmentedColormap.from_list("counts", [f"{COLOURS[0]}00", COLOURS[0]])

Floats = NDArray[np.float64]


class Band(NamedTuple):
    """The area between two lines."""

    label: str
    x: NDArray[Any]
    low: Floats
    high: Floats


def chart_picture(name: str, chart: BarChart | LineChart | HeatMap) -> Picture:
    """The picture of a chart that a section brought along."""
    if isinstance(chart, HeatMap):
        return heat_map(name, chart)
    return bars(name, chart) if isinstance(chart, BarChart) else lines(name, chart)


def lines(name: str, chart: LineChart, band: Band | None = None) -> Picture:
    """Lines, and the band around the first of them; single points are marked."""

    def draw(axes: Axes) -> None:
        if band:
            axes.fill_between(band.x, band.low, band.high, alpha=0.18, linewidth=0, color=COLOURS[0], label=band.label)
        for label, (x, y) in chart.series.items():
            axes.plot(x, y, label=label, marker="o" if len(x) == 1 else "")
        axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
        for axis in chart.log:
            _make_log(axes, axis)
        _legend(axes, len(chart.series) + bool(band))

    return paint(name, chart.title, draw)


def bars(name: str, chart: BarChart) -> Picture:
    """Groups of bars side by side."""
    places = np.arange(len(chart.categories))
    share = 0.8 / max(1, len(chart.series))

    def draw(axes: Axes) -> None:
        for number, (label, values) in enumerate(chart.series.items()):
            offset = (number - (len(chart.series) - 1) / 2) * share
            axes.bar(places + offset, values, 0.92 * share, label=label, color=COLOURS[number % len(COLOURS)])
        axes.set_ylabel(chart.y_label)
        axes.grid(visible=False, axis="x")
        _label(axes, "x", chart.categories)
        _legend(axes, len(chart.series))

    return paint(name, chart.title, draw, width=_width(len(chart.categories) * len(chart.series)))


def heat_map(name: str, chart: HeatMap) -> Picture:
    """Values as depth of colour."""
    whole = np.issubdtype(chart.values.dtype, np.integer)
    low, high = chart.lowest, max(chart.lowest + float(whole), float(np.nanmax(chart.values)))

    def draw(axes: Axes) -> None:
        image = axes.imshow(chart.values, cmap=DEPTH, vmin=low, vmax=high, aspect="auto", interpolation="none")
        axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
        axes.grid(visible=False)
        _label(axes, "x", chart.columns)
        _label(axes, "y", chart.rows)
        bar = axes.figure.colorbar(image, label=chart.label, ticks=MaxNLocator(integer=whole))
        bar.outline.set_linewidth(0)

    return paint(name, chart.title, draw, _width(len(chart.columns)), min(6.0, 1.6 + 0.2 * len(chart.rows)))


def _width(places: int) -> float:
    return WIDTH if places <= 32 else WIDE


def _label(axes: Axes, axis: str, labels: Sequence[str]) -> None:
    """Name the places of an axis, or every second, third, ... of them where there are many; long names are turned."""
    step = -(-len(labels) // MOST_LABELS)
    shown = list(labels)[::step]
    axes.set(**{f"{axis}ticks": range(0, len(labels), step), f"{axis}ticklabels": shown})
    if axis == "x" and sum(map(len, shown)) > 60:
        for text in axes.get_xticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor")


def _make_log(axes: Axes, axis: str) -> None:
    axes.set(**{f"{axis}scale": "log"})
    low, high = getattr(axes, f"get_{axis}lim")()
    ticks = getattr(axes, f"{axis}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    ticks.set_major_formatter("{x:g}")
    axes.minorticks_off()


def _legend(axes: Axes, entries: int) -> None:
    if entries > 1:
        axes.figure.legend(loc="outside upper left", ncols=min(3, entries))
