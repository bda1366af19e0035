"""Normalisation of samples: as in training, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.trained_elsewhere.forms import WHERE
from simulator.core.arrays import Arrays
from simulator.core.errors import InputError, Problem
from simulator.core.normalizer import Normalizer
from simulator.core.preparation import AsStored, Preparation


@dataclass(frozen=True)
class Standardised(Preparation):
    """(x - mean) / std of floats, along their second dimension: channels of [B, C, H, W], columns of [B, F].

    Attributes:
        mean: float [C].
        std: float [C].
    """

    mean: Tensor
    std: Tensor

    def __call__(self, stored: Arrays, dtype: torch.dtype = torch.float32) -> Tensor:
        """Of the same shape."""
        assert isinstance(stored, Tensor)  # it was one array
        shape = (1, -1, *[1] * (stored.dim() - 2))
        mean, std = (each.to(dtype).view(shape) for each in (self.mean, self.std))
        return (stored.to(dtype) - mean) / std


def preparation_of(x: NDArray[Any], arrays: Mapping[str, Any], kind: str) -> tuple[Preparation, list[str]]:
    """What makes network input of ``x``, which is of this ``kind``, and what was taken for granted in that.

    Args:
        x: the samples.
        arrays: with "mean" and "std", where there are any.
        kind: as in `simulator.core.specification.InputSpec`.

    Raises:
        InputError: mean and std are not those of such samples.
    """
    given = {name: np.atleast_1d(np.asarray(arrays[name], np.float64)) for name in ("mean", "std") if name in arrays}
    size = x.shape[-1] if kind == "images" else x.shape[1]
    if problems := [*_statistics(given, size, kind)]:
        raise InputError(*problems)
    if not given:
        if kind != "images":
            return AsStored(), []
        zeros, ones = torch.zeros(size), torch.ones(size)
        note = "images are given to the networks as pixel / 255: if they were normalised in training, set mean and std"
        return Normalizer(zeros, ones), [note]
    mean, std = (torch.from_numpy(np.broadcast_to(given[name], size).copy()) for name in ("mean", "std"))
    return (Normalizer if kind == "images" else Standardised)(mean, std), []


def _statistics(given: Mapping[str, NDArray[np.float64]], size: int, kind: str) -> list[Problem]:
    if len(given) == 1:
        return [Problem(WHERE, f"there is a {next(iter(given))} alone.", "Give mean and std, or none of them.")]
    if given and kind == "tokens":
        return [Problem(WHERE, "tokens are not normalised.", "Leave mean and std out.")]
    found = []
    for name, values in given.items():
        if values.shape not in ((1,), (size,)):
            what = f"{name} has shape {values.shape}, for {size} columns or channels."
            found.append(Problem(WHERE, what, "Give one number for each, or one for all."))
    if kind == "images" and given and given["mean"].max() > 1:
        what = f"mean goes up to {given['mean'].max():g}: it is of images scaled to [0, 1]."
        found.append(Problem(WHERE, what, "Divide mean and std by 255."))
    if given and not (given["std"] > 0).all():
        found.append(Problem(WHERE, "std is not above 0 everywhere.", "Give 1 for what does not vary."))
    return found
