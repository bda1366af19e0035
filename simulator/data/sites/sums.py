"""What one site tells of the numbers it trains on: counts, sums and sums of squares, and never its least or largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, sqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.declaration import Declared
from simulator.core.errors import wrong
from simulator.core.seeding import generator
from simulator.data.dataset import ArrayData
from simulator.data.kinds.table import NUMBERS
from simulator.data.sites.schema import DataSchema, Quantity
from simulator.data.sites.settings import StatisticsSettings

Sums = NDArray[np.float64]  # [3, Q]: of each quantity the count, the sum, and the sum of squares
Moments = tuple[NDArray[np.float64], NDArray[np.float64]]  # of each sample, [N, Q]: x and x^2, NaN where it has none
PART = "statistics.sums"  # what they are called in a message, and in a site's policy
PURPOSE = "statistics.noise"
MOST = 1e300  # of a sum, in magnitude: what is told is finite
SLACK = 2.0**-40  # of a square: more than the sums of many samples are rounded by
CHUNK = 256  # images whose pixels are squared at once


def own_sums(schema: DataSchema, settings: StatisticsSettings, data: ArrayData, rows: NDArray[np.int64]) -> Sums:
    """Sums over the samples ``rows`` of ``data``, without noise; gaps count nowhere.

    They are the float64 nearest to the exact sums, so that they depend neither on order nor on the processor. Where
    noise is to come, numbers are cut to the range of their quantity and measured from its middle, in halves of it.
    """
    first, second = _scaled(schema, settings, data, rows)
    weights = _weights(settings, data, rows)[:, None] * np.where(np.isnan(first), 0.0, 1.0)
    terms = weights, weights * np.nan_to_num(first), weights * np.nan_to_num(second)
    return np.array([[fsum(column) for column in each.T.tolist()] for each in terms])


def told(sums: Sums, settings: StatisticsSettings, secret: int, node: int) -> Sums:
    """What leaves the site: its ``sums``, with noise where that is asked for.

    Args:
        sums: its own.
        settings: how much noise.
        secret: what the noise is drawn from: the node's own in a deployment, in a simulation the experiment's seed.
        node: whose; asked again, its noise is the same.
    """
    if settings.noise_multiplier is None:
        return sums
    drawn = generator(secret, PURPOSE, node=node).standard_normal(sums.shape)
    return sums + noise_scale(settings, sums.shape[1]) * drawn


def noise_scale(settings: StatisticsSettings, quantities: int) -> float:
    """The standard deviation of the noise on each sum.

    One unit adds (1, u, u^2) or nothing to the sums of each quantity, |u| <= 1: at most sqrt(3 Q) in Euclidean norm.
    """
    return (settings.noise_multiplier or 0.0) * sqrt(3 * quantities)


def middle(quantity: Quantity, settings: StatisticsSettings) -> tuple[float, float]:
    """From where a quantity is measured, and in which unit."""
    if settings.noise_multiplier is None or quantity.range is None:
        return 0.0, 1.0
    low, high = quantity.range
    return low + (high - low) / 2, (high - low) / 2


def _scaled(schema: DataSchema, settings: StatisticsSettings, data: ArrayData, rows: NDArray[np.int64]) -> Moments:
    quantities, inputs = schema.without_statistics, data.x_train
    scales = np.array([middle(each, settings) for each in quantities]).T
    if isinstance(inputs, np.ndarray):
        return _of_images(inputs, rows, scales[0], scales[1])
    numbers = schema.input_kind().numbers  # type: ignore[attr-defined]  # only tables have quantities beside images
    places = [[f"column '{name}'" for name in numbers].index(each.name) for each in quantities]
    values = inputs[NUMBERS][rows][:, places].astype(np.float64)
    if settings.noise_multiplier is not None:
        values = np.clip((values - scales[0]) / scales[1], -1.0, 1.0)
    return values, values**2


def _of_images(pixels: NDArray[Any], rows: NDArray[np.int64], center: Any, unit: Any) -> Moments:
    """An image counts as one, with the means of its pixels and of their squares; their sums are whole numbers."""
    size, depth = pixels.shape[1] * pixels.shape[2], pixels.shape[3]
    sums = np.zeros((2, len(rows), depth))
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        chunk = pixels[rows[part]].astype(np.int64)
        sums[:, part] = chunk.sum(axis=(1, 2)), (chunk**2).sum(axis=(1, 2))
    mean, square = sums[0] / (255 * size), sums[1] / (255**2 * size)
    return (mean - center) / unit, (square - 2 * center * mean + center**2) / unit**2


def _weights(settings: StatisticsSettings, data: ArrayData, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each sample counts: 1, or where groups are protected, its share of its group.

    Raises:
        InputError: groups are to be protected, and the data have none.
    """
    if settings.unit != "group":
        return np.ones(len(rows))
    if data.groups is None:
        what = "noise is to protect groups of samples, and these data have none."
        raise wrong("data.sites.statistics.unit", what, "Set unit: sample, or say which samples belong together.")
    _, place, sizes = np.unique(data.groups[rows], return_inverse=True, return_counts=True)
    shares: NDArray[np.float64] = 1.0 / sizes[place]
    return shares


def declared(quantities: int) -> Mapping[str, Declared]:
    """What a message holds that tells sums of so many quantities."""
    return {PART: Declared(torch.float64, (3, quantities), -MOST, MOST)}


def impossible(sums: Sums, settings: StatisticsSettings) -> bool:
    """Whether no samples have these ``sums``: fewer than none, or a variance below zero; under noise, all can be."""
    if settings.noise_multiplier is not None:
        return False
    count, total, squares = sums
    with np.errstate(over="ignore"):
        return bool((count < 0).any() or (squares < 0).any() or (total**2 > count * squares * (1 + SLACK)).any())


def joined(own: Sums, heard: Sequence[Sums]) -> Sums:
    """A site's ``own``, and what it has ``heard``, added up in this order."""
    total = own
    for each in heard:
        total = total + each
    return total
