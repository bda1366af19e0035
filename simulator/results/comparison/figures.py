"""Accuracy of all groups in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from simulator.results.comparison.groups import Group
from simulator.results.formatting import MEGABYTE
from simulator.results.report.figures import COLOURS, DASHES, HEIGHT, Picture, paint
from simulator.results.run_directory import RunDirectory

ACCURACY = "test/accuracy/mean"
LEGEND_WIDTH = 80  # characters
LEGEND_ROW = 0.18  # inches


class Curve(NamedTuple):
    """A group over its rounds [T]: megabytes a node has sent, accuracy in % as mean and spread over the seeds."""

    label: str
    number: int
    rounds: NDArray[np.int64]
    sent: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64] | None


def pictures(groups: Sequence[Group]) -> list[Picture]:
    """Accuracy over rounds and over traffic; groups without a finished run are left out."""
    curves = [_curve(number, group) for number, group in enumerate(groups) if group.finished]
    curves = [curve for curve in curves if len(curve.rounds)]
    if not curves:
        return []
    return [
        _overlay("rounds", "Test accuracy over rounds", "round", curves),
        _overlay("traffic", "Test accuracy over what a node has sent", "sent by a node, MB", curves),
    ]


def _curve(number: int, group: Group) -> Curve:
    series = [dict(zip(*run.network_series(ACCURACY), strict=True)) for run in group.finished]
    rounds = reduce(np.intersect1d, [np.array(list(run), dtype=np.int64) for run in series])
    accuracy = 100 * np.array([[run[round] for round in rounds] for run in series])
    sent = np.mean([_sent(run, rounds) for run in group.finished], axis=0) / (group.nodes * MEGABYTE)
    spread = accuracy.std(axis=0, ddof=1) if len(series) > 1 else None
    return Curve(group.label, number, rounds, sent, accuracy.mean(axis=0), spread)


def _sent(run: RunDirectory, rounds: NDArray[np.int64]) -> list[float]:
    found = dict(zip(*run.network_series("bytes/sent"), strict=True))
    return [float(found[round]) for round in rounds]


def _overlay(name: str, caption: str, axis: str, curves: Sequence[Curve]) -> Picture:
    columns = max(1, min(3, LEGEND_WIDTH // (8 + max(len(curve.label) for curve in curves))))

    def draw(axes: Axes) -> None:
        for curve in curves:
            _draw(axes, curve, curve.rounds if name == "rounds" else curve.sent)
        axes.set(xlabel=axis, ylabel="accuracy, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=name == "rounds"))
        axes.figure.legend(loc="outside upper left", ncols=columns)

    return paint(f"comparison-{name}", caption, draw, height=HEIGHT + LEGEND_ROW * (-(-len(curves) // columns) - 1))


def _draw(axes: Axes, curve: Curve, x: NDArray[np.int64] | NDArray[np.float64]) -> None:
    """Colours first, and where they run out, the next kind of line."""
    colour = COLOURS[curve.number % len(COLOURS)]
    dash = DASHES[curve.number // len(COLOURS) % len(DASHES)]
    if curve.spread is not None:
        low, high = curve.mean - curve.spread, curve.mean + curve.spread
        axes.fill_between(x, low, high, alpha=0.15, linewidth=0, color=colour)
    # A label that begins with an underscore would not be in the legend.
    label = f" {curve.label}" if curve.label.startswith("_") else curve.label
    axes.plot(x, curve.mean, color=colour, linestyle=dash, label=label, marker="o" if len(x) == 1 else "")
