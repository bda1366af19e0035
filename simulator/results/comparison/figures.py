"""The headline score of all groups in one figure, over time or against another result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from simulator.core.report import Band, LineChart
from simulator.results.comparison.groups import Group, common_headline, last, seed
from simulator.results.comparison.table import estimate
from simulator.results.formatting import MEGABYTE
from simulator.results.headline import Headline
from simulator.results.report.chart_data import chart_data
from simulator.results.report.figures import COLOURS, DASHES, HEIGHT, Picture, paint

SECONDS = "clock/seconds"
LEGEND_WIDTH = 80  # characters
LEGEND_ROW = 0.18  # inches


class Axis(NamedTuple):
    """What a figure shows the score over."""

    name: str
    caption: str
    label: str


AXES = (
    Axis("rounds", "over rounds", "round"),
    Axis("traffic", "over what a node has sent", "sent by a node, MB"),
    Axis("clock", "over simulated time", "simulated seconds"),
)


class Curve(NamedTuple):
    """A group, measured T times: where it then was on each axis, and its score as it is shown, over the seeds."""

    label: str
    number: int
    x: Mapping[str, NDArray[np.float64]]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64] | None


def pictures(groups: Sequence[Group], metrics: Sequence[str] = ()) -> list[Picture]:
    """The score over rounds, traffic and simulated time, where measured, and at the end against each of ``metrics``."""
    headline = common_headline(groups)
    curves = [_curve(number, group, headline) for number, group in enumerate(groups) if group.finished]
    shown = {axis: [curve for curve in curves if len(curve.x.get(axis.name, ()))] for axis in AXES}
    finished = [group for group in groups if group.finished]
    ends = [_against(number, metric, finished, headline) for number, metric in enumerate(metrics)]
    return [*(_overlay(axis, curves, headline) for axis, curves in shown.items() if curves), *ends]


def _curve(number: int, group: Group, headline: Headline) -> Curve:
    series = [dict(zip(*run.network_series(headline.mean), strict=True)) for run in group.finished]
    rounds = reduce(np.intersect1d, [np.array(list(run), dtype=np.int64) for run in series])
    scores = headline.scale * np.array([[run[round] for round in rounds] for run in series])
    sent = _mean(group, "bytes/sent", rounds) / (group.nodes * MEGABYTE)
    x = {"rounds": rounds.astype(np.float64), "traffic": sent}
    if all(len(run.network_series(SECONDS)[0]) for run in group.finished):
        x["clock"] = _mean(group, SECONDS, rounds)
    spread = scores.std(axis=0, ddof=1) if len(series) > 1 else None
    return Curve(group.label, number, x, scores.mean(axis=0), spread)


def _mean(group: Group, metric: str, rounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """A metric of the network at ``rounds``, mean over the seeds."""
    found = [dict(zip(*run.network_series(metric), strict=True)) for run in group.finished]
    values = np.array([[run[round] for round in rounds] for run in found], dtype=np.float64)
    return np.asarray(values.mean(axis=0))


def _overlay(axis: Axis, curves: Sequence[Curve], headline: Headline) -> Picture:
    def draw(axes: Axes) -> None:
        for curve in curves:
            _draw(axes, curve, curve.x[axis.name])
        axes.set(xlabel=axis.label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=axis.name == "rounds"))

    caption, bands = f"Test {headline.words} {axis.caption}", []
    for curve in curves:
        if curve.spread is not None:
            low, high = curve.mean - curve.spread, curve.mean + curve.spread
            bands.append(Band(curve.label, curve.x[axis.name], low, high, curve.label))
    series = {curve.label: (curve.x[axis.name], curve.mean) for curve in curves}
    chart = LineChart(caption, axis.label, headline.label, series, bands=bands)
    return _with_legend(f"comparison-{axis.name}", chart, draw)


def leakage(groups: Sequence[Group]) -> list[str]:
    """The AUC that most of the finished runs have of an audit of membership; nothing where none was audited."""
    names = (name for group in groups for run in group.finished for name in run.audit_metrics())
    found = Counter(name for name in names if name.startswith("audit/membership/") and name.endswith("/auc"))
    return [name for name, _ in found.most_common(1)]


def _against(number: int, metric: str, groups: Sequence[Group], headline: Headline) -> Picture:
    label = f"{metric} (0.5 is guessing)" if metric.endswith("/auc") else metric

    def draw(axes: Axes) -> None:
        for place, group in enumerate(groups):
            _draw_end(axes, place, group, metric, headline)
        axes.set(xlabel=label)

    series, names = {}, {}
    for group in groups:
        ends = [(run, last(run, metric), last(run, headline.mean)) for run in group.finished]
        found = [(run, x[0], headline.scale * y[0]) for run, x, y in ends if x and y]
        series[group.label] = np.array([x for _, x, _ in found]), np.array([y for _, _, y in found])
        names[group.label] = [f"{group.label}\nseed {seed(run)}: {run.path.name}" for run, _, _ in found]
    caption = f"Test {headline.words} against {metric}"
    chart = LineChart(caption, label, headline.label, series, points=True, names=names)
    return _with_legend(f"comparison-against-{number}", chart, draw)


def _with_legend(name: str, chart: LineChart, draw: Callable[[Axes], None]) -> Picture:
    """What ``draw`` makes, under a legend with room for long names; scripts draw ``chart``."""
    columns = max(1, min(3, LEGEND_WIDTH // (8 + max(map(len, chart.series)))))

    def whole(axes: Axes) -> None:
        draw(axes)
        axes.set(ylabel=chart.y_label)
        axes.figure.legend(loc="outside upper left", ncols=columns)

    height = HEIGHT + LEGEND_ROW * (-(-len(chart.series) // columns) - 1)
    return replace(paint(name, chart.title, whole, height=height), data=chart_data(chart))


def _draw_end(axes: Axes, place: int, group: Group, metric: str, headline: Headline) -> None:
    """A point, or a line across where the group has no such result."""
    x, score, look = estimate(group, metric), estimate(group, headline.mean), _look(place, group.label)
    scale = headline.scale
    if np.isnan(x.mean):
        axes.axhline(scale * score.mean, **look)
    else:
        spread = None if score.spread is None else scale * score.spread
        axes.errorbar(x.mean, scale * score.mean, yerr=spread, xerr=x.spread, marker="o", **look)


def _draw(axes: Axes, curve: Curve, x: NDArray[np.float64]) -> None:
    look = _look(curve.number, curve.label)
    if curve.spread is not None:
        low, high = curve.mean - curve.spread, curve.mean + curve.spread
        axes.fill_between(x, low, high, alpha=0.15, linewidth=0, color=look["color"])
    axes.plot(x, curve.mean, marker="o" if len(x) == 1 else "", **look)


def _look(number: int, label: str) -> dict[str, Any]:
    """Colours first, and where they run out, the next kind of line."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    # A label that begins with an underscore would not be in the legend.
    shown = f" {label}" if label.startswith("_") else label
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": dash, "label": shown}
