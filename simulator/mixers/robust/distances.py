"""How far models are from each other, who is nearest, and what is left of a row of W if some are heard less."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from math import sqrt

import torch
from torch import Tensor

PIECE = 2**15  # values that are summed at a time: they stay in the cache, and go to one thread whatever there is
ROUNDING = 1e-12  # of sums of weights that are equal on paper, such as 1/3 + 1/3 and 1 - 1/3


def squares(models: Mapping[int, Tensor], to: Tensor) -> dict[int, float]:
    """||x_j - to||^2 by node, over all coordinates in double precision."""
    sums = [_square(model, to) for model in models.values()]
    return dict(zip(models, torch.stack(sums).tolist(), strict=True)) if sums else {}


def distances(models: Mapping[int, Tensor], to: Tensor) -> dict[int, float]:
    """||x_j - to|| by node, as `squares`."""
    return {j: sqrt(square) for j, square in squares(models, to).items()}


def _square(model: Tensor, to: Tensor) -> Tensor:
    pieces = zip(torch.split(model, PIECE), torch.split(to, PIECE), strict=True)
    return torch.stack([(piece.double() - other).square_().sum() for piece, other in pieces]).sum()


def nearest(away: Mapping[int, float]) -> list[int]:
    """Nodes by their distance; of two at the same one, the smaller id first."""
    return sorted(away, key=lambda j: (away[j], j))


def within(row: Mapping[int, float], own: int, away: Mapping[int, float]) -> list[tuple[float, int]]:
    """The `nearest` of the node's others, the node itself before them, each with the weight of all up to it."""
    order = [own, *nearest(away)]
    return list(zip(accumulate(row[j] for j in order), order, strict=True))


def rest_to_own(row: Mapping[int, float], own: int, kept: Mapping[int, float]) -> dict[int, float]:
    """The weights ``kept`` of others, and the node's own with what they have lost of those in ``row``.

    Where they have lost nothing, it is ``row`` to the bit.
    """
    return {own: row[own] + sum(row[j] - kept[j] for j in sorted(kept)), **kept}


def clipped(
    row: Mapping[int, float], own: int, away: Mapping[int, float], radius: Mapping[int, float]
) -> dict[int, float]:
    """Weights of x_i + sum_j w_ij clip(x_j - x_i, tau_j), with the ``radius`` tau_j of each other node."""
    kept = {j: row[j] if away[j] <= radius[j] else row[j] * radius[j] / away[j] for j in sorted(away)}
    return rest_to_own(row, own, kept)
