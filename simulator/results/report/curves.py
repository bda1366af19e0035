"""What was measured, over rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.report import Band, LineChart
from simulator.results.formatting import MEGABYTE
from simulator.results.headline import Headline
from simulator.results.report.charts import chart_picture
from simulator.results.report.figures import Picture
from simulator.results.run_directory import RunDirectory


def curves(run: RunDirectory) -> Iterator[Picture]:
    """The headline score, consensus distance, training loss and bytes sent; what was never measured is left out."""
    yield from _score(run, run.headline)
    yield from _consensus_distance(run)
    yield from _training_loss(run)
    yield from _bytes_sent(run)


def _score(run: RunDirectory, headline: Headline) -> Iterator[Picture]:
    rounds, mean = run.network_series(headline.mean)
    worst, best = (run.network_series(name)[1] for name in (headline.worst, headline.best))
    if len(rounds):
        (at, consensus), scale = run.network_series(headline.consensus), headline.scale
        series = {"nodes' mean": (rounds, scale * mean), "consensus model": (at, scale * consensus)}
        constant = run.network_series("test/majority")
        if len(constant[0]):  # runs of earlier versions have none
            series["majority class"] = (constant[0], 100 * constant[1])
        band = Band("worst to best node", rounds, scale * worst, scale * best, "nodes' mean")
        chart = _over_rounds(f"Test {headline.words}", headline.label, series)
        yield chart_picture(headline.name, replace(chart, bands=[band]))


def _consensus_distance(run: RunDirectory) -> Iterator[Picture]:
    rounds, distance = run.network_series("consensus/distance")
    apart = distance > 0
    if apart.any():  # all nodes start alike, and on a log axis there is no zero
        series = {"consensus distance": (rounds[apart], distance[apart])}
        chart = _over_rounds("Distance of the nodes from their mean", "consensus distance", series)
        yield chart_picture("consensus", replace(chart, log="y"))


def _training_loss(run: RunDirectory) -> Iterator[Picture]:
    rounds, losses = run.series("train/loss")
    if len(rounds):
        chart = _over_rounds("Training loss", "cross-entropy", {"nodes' mean": (rounds, losses.mean(axis=1))})
        band = Band("lowest to highest node", rounds, losses.min(axis=1), losses.max(axis=1), "nodes' mean")
        yield chart_picture("loss", replace(chart, bands=[band]))


def _bytes_sent(run: RunDirectory) -> Iterator[Picture]:
    rounds, sent = run.network_series("bytes/sent")
    if sent.any():
        chart = _over_rounds("Sent by all nodes so far", "MB", {"sent": (rounds, sent / MEGABYTE)})
        yield chart_picture("bytes", chart)


def _over_rounds(title: str, label: str, series: Mapping[str, tuple[NDArray[Any], NDArray[np.float64]]]) -> LineChart:
    return LineChart(title, "round", label, {name: (x.astype(np.float64), y) for name, (x, y) in series.items()})
