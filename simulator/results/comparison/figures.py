"""Accuracy of all groups in one figure, over time or against another result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from simulator.results.comparison.groups import Group
from simulator.results.comparison.table import estimate
from simulator.results.formatting import MEGABYTE
from simulator.results.report.figures import COLOURS, DASHES, HEIGHT, Picture, paint

ACCURACY, SECONDS = "test/accuracy/mean", "clock/seconds"
LEGEND_WIDTH = 80  # characters
LEGEND_ROW = 0.18  # inches


class Axis(NamedTuple):
    """What a figure shows accuracy over."""

    name: str
    caption: str
    label: str


AXES = (
    Axis("rounds", "Test accuracy over rounds", "round"),
    Axis("traffic", "Test accuracy over what a node has sent", "sent by a node, MB"),
    Axis("clock", "Test accuracy over simulated time", "simulated seconds"),
)


class Curve(NamedTuple):
    """A group, measured T times: where it then was on each axis, and its accuracy in %, over the seeds."""

    label: str
    number: int
    x: Mapping[str, NDArray[np.float64]]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64] | None


def pictures(groups: Sequence[Group], metrics: Sequence[str] = ()) -> list[Picture]:
    """Accuracy over rounds, traffic and simulated time, where measured, and at the end against each of ``metrics``."""
    curves = [_curve(number, group) for number, group in enumerate(groups) if group.finished]
    shown = {axis: [curve for curve in curves if len(curve.x.get(axis.name, ()))] for axis in AXES}
    finished = [group for group in groups if group.finished]
    ends = [_against(number, metric, finished) for number, metric in enumerate(metrics)]
    return [*(_overlay(axis, curves) for axis, curves in shown.items() if curves), *ends]


def _curve(number: int, group: Group) -> Curve:
    series = [dict(zip(*run.network_series(ACCURACY), strict=True)) for run in group.finished]
    rounds = reduce(np.intersect1d, [np.array(list(run), dtype=np.int64) for run in series])
    accuracy = 100 * np.array([[run[round] for round in rounds] for run in series])
    sent = _mean(group, "bytes/sent", rounds) / (group.nodes * MEGABYTE)
    x = {"rounds": rounds.astype(np.float64), "traffic": sent}
    if all(len(run.network_series(SECONDS)[0]) for run in group.finished):
        x["clock"] = _mean(group, SECONDS, rounds)
    spread = accuracy.std(axis=0, ddof=1) if len(series) > 1 else None
    return Curve(group.label, number, x, accuracy.mean(axis=0), spread)


def _mean(group: Group, metric: str, rounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """A metric of the network at ``rounds``, mean over the seeds."""
    found = [dict(zip(*run.network_series(metric), strict=True)) for run in group.finished]
    values = np.array([[run[round] for round in rounds] for run in found], dtype=np.float64)
    return np.asarray(values.mean(axis=0))


def _overlay(axis: Axis, curves: Sequence[Curve]) -> Picture:
    def draw(axes: Axes) -> None:
        for curve in curves:
            _draw(axes, curve, curve.x[axis.name])
        axes.set(xlabel=axis.label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=axis.name == "rounds"))

    return _with_legend(f"comparison-{axis.name}", axis.caption, draw, [curve.label for curve in curves])


def _against(number: int, metric: str, groups: Sequence[Group]) -> Picture:
    def draw(axes: Axes) -> None:
        for place, group in enumerate(groups):
            _draw_end(axes, place, group, metric)
        axes.set(xlabel=metric)

    labels = [group.label for group in groups]
    return _with_legend(f"comparison-against-{number}", f"Test accuracy against {metric}", draw, labels)


def _with_legend(name: str, caption: str, draw: Callable[[Axes], None], labels: Sequence[str]) -> Picture:
    columns = max(1, min(3, LEGEND_WIDTH // (8 + max(map(len, labels)))))

    def whole(axes: Axes) -> None:
        draw(axes)
        axes.set(ylabel="accuracy, %")
        axes.figure.legend(loc="outside upper left", ncols=columns)

    return paint(name, caption, whole, height=HEIGHT + LEGEND_ROW * (-(-len(labels) // columns) - 1))


def _draw_end(axes: Axes, place: int, group: Group, metric: str) -> None:
    """A point, or a line across where the group has no such result."""
    x, accuracy, look = estimate(group, metric), estimate(group, ACCURACY), _look(place, group.label)
    if np.isnan(x.mean):
        axes.axhline(100 * accuracy.mean, **look)
    else:
        spread = None if accuracy.spread is None else 100 * accuracy.spread
        axes.errorbar(x.mean, 100 * accuracy.mean, yerr=spread, xerr=x.spread, marker="o", **look)


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
