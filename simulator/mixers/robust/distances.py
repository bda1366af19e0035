"""How far models are from each other, who is nearest, and what is left of a row of W if some are heard less."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import torch
from torch import Tensor

ROUNDING = 1e-12  # of sums of weights that are equal on paper, such as 1/3 + 1/3 and 1 - 1/3


def distances(models: Mapping[int, Tensor], to: Tensor) -> dict[int, float]:
    """||x_j - to|| by node, over all coordinates in double precision."""
    origin = to.double()
    norms = [torch.linalg.vector_norm(model.double() - origin) for model in models.values()]
    return dict(zip(models, torch.stack(norms).tolist(), strict=True)) if norms else {}


def others(models: Mapping[int, Tensor], own: int) -> dict[int, float]:
    """`distances` of all but the node's ``own`` model from that."""
    return distances({j: models[j] for j in sorted(models) if j != own}, models[own])


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
