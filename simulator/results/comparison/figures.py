"""Accuracy of all groups in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from simulator.results.comparison.groups import Group
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


def pictures(groups: Sequence[Group]) -> list[Picture]:
    """Accuracy over rounds, traffic and simulated time; what was not measured is left out."""
    curves = [_curve(number, group) for number, group in enumerate(groups) if group.finished]
    shown = {axis: [curve for curve in curves if len(curve.x.get(axis.name, ()))] for axis in AXES}
    return [_overlay(axis, curves) for axis, curves in shown.items() if curves]


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
    columns = max(1, min(3, LEGEND_WIDTH // (8 + max(len(curve.label) for curve in curves))))

    def draw(axes: Axes) -> None:
        for curve in curves:
            _draw(axes, curve, curve.x[axis.name])
        axes.set(xlabel=axis.label, ylabel="accuracy, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=axis.name == "rounds"))
        axes.figure.legend(loc="outside upper left", ncols=columns)

    height = HEIGHT + LEGEND_ROW * (-(-len(curves) // columns) - 1)
    return paint(f"comparison-{axis.name}", axis.caption, draw, height=height)


def _draw(axes: Axes, curve: Curve, x: NDArray[np.float64]) -> None:
    """Colours first, and where they run out, the next kind of line."""
    colour = COLOURS[curve.number % len(COLOURS)]
    dash = DASHES[curve.number // len(COLOURS) % len(DASHES)]
    if curve.spread is not None:
        low, high = curve.mean - curve.spread, curve.mean + curve.spread
        axes.fill_between(x, low, high, alpha=0.15, linewidth=0, color=colour)
    # A label that begins with an underscore would not be in the legend.
    label = f" {curve.label}" if curve.label.startswith("_") else curve.label
    axes.plot(x, curve.mean, color=colour, linestyle=dash, label=label, marker="o" if len(x) == 1 else "")
