"""The mean validation loss of each class at a node, and what stands in where a class has no validation sample there."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import torch
from torch import Tensor


class JudgedBy(IntEnum):
    """Whose validation samples a class is judged by."""

    UNDECIDED = -1
    OWN = 0
    NEIGHBOURS = 1
    NODE = 2


class ClassMeans:
    """Mean validation losses, checkpoint by checkpoint.

    A class without validation samples at the node takes the mean over the neighbours that told of it, or else over all
    validation samples of the node. Which of the two is decided at the first checkpoint, since a trajectory pieced
    together of both would jump; if later no neighbour tells of the class, there is no value (NaN).

    Args:
        labels: int64 [V], of the node's validation samples, V at least 1.
        classes: C.
    """

    def __init__(self, labels: Tensor, classes: int) -> None:
        self._labels, self._sizes = labels, torch.bincount(labels, minlength=classes)
        self.sources = torch.full((classes,), JudgedBy.UNDECIDED)
        self.sources[self._sizes > 0] = JudgedBy.OWN
        self._overall = torch.tensor(torch.nan, dtype=torch.float64)
        self.own = torch.full((classes,), torch.nan, dtype=torch.float64)
        self._heard: list[Tensor] = []

    def look(self, losses: Tensor) -> None:
        """At a checkpoint: the losses of the validation samples (float64 [V])."""
        self._overall, self._heard = losses.mean(), []
        sums = torch.zeros_like(self.own).index_add_(0, self._labels, losses)
        self.own = sums / self._sizes  # 0 / 0 = NaN

    def hear(self, means: Tensor) -> None:
        """What a neighbour has in ``own`` (float [C]), at the same checkpoint."""
        self._heard.append(means.to("cpu", torch.float64))

    def values(self) -> Tensor:
        """float64 [C]: the checkpoint's means, once the neighbours were heard."""
        nan = torch.full_like(self.own, torch.nan)
        told = torch.stack([nan, *self._heard]).nanmean(dim=0)
        open_ones = self.sources == JudgedBy.UNDECIDED
        self.sources[open_ones & ~told.isnan()] = JudgedBy.NEIGHBOURS
        self.sources[open_ones & told.isnan()] = JudgedBy.NODE
        candidates = torch.stack([self.own, told, self._overall.expand_as(told)])
        return candidates.gather(0, self.sources[None])[0]

    def state_dict(self) -> dict[str, Tensor]:
        """Where each class's values come from."""
        return {"sources": self.sources}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        self.sources = state["sources"].to("cpu", copy=True)
