"""Rules that look at each coordinate by itself: the values in the middle, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def middle(models: Mapping[int, Tensor], dropped: int) -> tuple[Tensor, dict[int, float]]:
    """What is left of every coordinate without its ``dropped`` largest and its ``dropped`` smallest values.

    Of equal values, that of the node with the smaller id counts as the smaller one.

    Args:
        models: float [parameters], by node; more than twice as many as are ``dropped``.
        dropped: values, at either end.

    Returns:
        The sum of the values left, float [parameters], and by node the share of coordinates in which its value is.
    """
    ids = sorted(models)
    values, places = torch.stack([models[j] for j in ids]).sort(dim=0, stable=True)
    first, *rest = values[dropped : len(ids) - dropped]
    total = first.clone()
    for each in rest:
        total.add_(each)
    counts = torch.bincount(places[dropped : len(ids) - dropped].flatten(), minlength=len(ids))
    return total, dict(zip(ids, (counts.double() / values.shape[1]).tolist(), strict=True))
