"""The kinds of chart a report has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator

from simulator.core.report import BarChart, Chart, GraphChart, HeatMap, ImageGrid, LineChart
from simulator.results.report.chart_data import chart_data
from simulator.results.report.figures import COLOURS, MUTED, WIDTH, Picture, paint
from topologies import draw

MOST_LABELS = 24  # on an axis
LONGEST = 28  # characters of one
WIDE = 2 * WIDTH
# From clear to blue, so that it suits any background.
DEPTH = LinearSegmentedColormap.from_list("counts", [f"{COLOURS[0]}00", COLOURS[0]])


def chart_picture(name: str, chart: Chart) -> Picture:
    """The picture of a chart, with the data of which scripts draw it."""
    return replace(_drawn(name, chart), data=chart_data(chart))


def _drawn(name: str, chart: Chart) -> Picture:
    match chart:
        case HeatMap():
            return heat_map(name, chart)
        case ImageGrid():
            return image_grid(name, chart)
        case BarChart():
            return bars(name, chart)
        case LineChart():
            return lines(name, chart)
        case GraphChart():
            svg = draw(chart.topology, values=chart.values, label=chart.label, attackers=chart.attackers)
            return Picture(name, chart.title, svg)


def lines(name: str, chart: LineChart) -> Picture:
    """Lines with the bands behind them; single points are marked."""
    colours = {label: COLOURS[number % len(COLOURS)] for number, label in enumerate(chart.series)}
    own = [band for band in chart.bands if band.label != band.of]  # these have a place of their own in the legend

    def plot(axes: Axes) -> None:
        for band in chart.bands:
            area = axes.fill_between(band.x, band.low, band.high, alpha=0.18, linewidth=0, color=colours[band.of])
            area.set_label(band.label if band in own else "")
        for label, (x, y) in chart.series.items():
            (line,) = axes.plot(x, y, label=label, marker="o" if chart.points or len(x) == 1 else "")
            if chart.points:
                line.set_linestyle("none")
        axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
        if all(np.equal(np.mod(x, 1), 0).all() for x, _ in chart.series.values()):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        for axis in chart.log:
            _make_log(axes, axis)
        _legend(axes, len(chart.series) + len(own))

    return paint(name, chart.title, plot)


def bars(name: str, chart: BarChart) -> Picture:
    """Groups of bars side by side."""
    places = np.arange(len(chart.categories))
    share = 0.8 / max(1, len(chart.series))

    def plot(axes: Axes) -> None:
        for number, (label, values) in enumerate(chart.series.items()):
            offset = (number - (len(chart.series) - 1) / 2) * share
            axes.bar(places + offset, values, 0.92 * share, label=label, color=COLOURS[number % len(COLOURS)])
        axes.set_ylabel(chart.y_label)
        axes.grid(visible=False, axis="x")
        _label(axes, "x", chart.categories)
        _legend(axes, len(chart.series))

    return paint(name, chart.title, plot, width=_width(len(chart.categories) * len(chart.series)))


def heat_map(name: str, chart: HeatMap) -> Picture:
    """Values as depth of colour."""
    whole = np.issubdtype(chart.values.dtype, np.integer)

    def plot(axes: Axes) -> None:
        image = axes.imshow(chart.values, cmap=DEPTH, norm=_depths(chart), aspect="auto", interpolation="none")
        axes.set(xlabel=chart.x_label, ylabel=chart.y_label)
        axes.grid(visible=False)
        _label(axes, "x", chart.columns)
        _label(axes, "y", chart.rows)
        if chart.levels:
            down, across = np.nonzero(np.isnan(chart.values))
            axes.plot(across, down, linestyle="none", marker="x", markersize=3, color=MUTED)
            bar = axes.figure.colorbar(image, ticks=range(len(chart.levels)), drawedges=True)
            bar.set_ticklabels(list(chart.levels))
            assert bar.solids is not None  # an image's bar has them
            bar.solids.set_rasterized(True)  # as the image is, so that both keep the same colours in a dark theme
        else:
            bar = axes.figure.colorbar(image, label=chart.label, ticks=MaxNLocator(integer=whole))
        bar.outline.set_linewidth(0)

    return paint(
        name,
        chart.title,
        plot,
        _width(len(chart.columns) + max(map(len, chart.levels), default=0)),
        min(6.0, 1.6 + 0.2 * len(chart.rows)),
    )


def _depths(chart: HeatMap) -> Normalize:
    """How deep the colour of a value is."""
    if chart.levels:
        return BoundaryNorm(np.arange(len(chart.levels) + 1) - 0.5, DEPTH.N)
    whole = np.issubdtype(chart.values.dtype, np.integer)
    return Normalize(chart.lowest, max(chart.lowest + float(whole), float(np.nanmax(chart.values))))


def image_grid(name: str, grid: ImageGrid) -> Picture:
    """Images as they are, in their own pixels: whoever shows the file enlarges them, so it stays small."""
    number, height, width, _ = grid.images.shape
    rows = -(-number // grid.columns)
    lines_below = 1 + max(caption.count("\n") for caption in grid.captions)
    cell = 0.94 * height / width + 0.18 * lines_below  # in widths of a column

    def plot(axes: Axes) -> None:
        for place, (image, caption) in enumerate(zip(grid.images, grid.captions, strict=True)):
            row, column = divmod(place, grid.columns)
            top, bottom = -row * cell, -row * cell - 0.94 * height / width
            gray_or_colour = np.broadcast_to(image, (height, width, 3))
            axes.imshow(gray_or_colour, extent=(column, column + 0.94, bottom, top), interpolation="none")
            axes.text(column, bottom - 0.03, caption, va="top", fontsize=6.5)
        axes.set(xlim=(0, grid.columns), ylim=(-rows * cell, 0), aspect="equal")
        axes.set_axis_off()

    return paint(name, grid.title, plot, height=WIDTH * rows * cell / grid.columns)


def _width(places: int) -> float:
    return WIDTH if places <= 32 else WIDE


def _label(axes: Axes, axis: str, labels: Sequence[str]) -> None:
    """Name the places of an axis, or every second, third, ... of them where there are many; long names are turned."""
    step = -(-len(labels) // MOST_LABELS)
    shown = [label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…" for label in labels[::step]]
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
