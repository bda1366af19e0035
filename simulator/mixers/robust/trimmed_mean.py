"""Coordinate-wise trimmed mean of the neighbours: BRIDGE-T (Fang, Yang and Bajwa 2022, arXiv:1908.08098)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from simulator.core.node import Node
from simulator.mixers.robust.base import Mixed
from simulator.mixers.robust.coordinates import middle
from simulator.mixers.robust.counts import CountingMixer, CountSettings


class TrimmedMean(CountingMixer):
    """In every coordinate, the mean of the node's own value and the neighbours' without the f largest and f smallest.

    With y_i the parameters after local training and N(i) the neighbours, in each coordinate::

        x_i <- (y_i + sum of what is left of {y_j : j in N(i)}) / (|N(i)| - 2f + 1),   |N(i)| > 2f

    The node's own value is never dropped. All weigh the same, whatever W says: at f = 0 this is gossip, adapt then
    combine, where the rows of W are uniform, and elsewhere it is not. The nodes' mean is not kept.
    """

    class Config(CountSettings):
        """How many neighbours may lie."""

        name: str = "trimmed_mean"

    config: Config
    demand: ClassVar[str] = "needs at least 2f + 1 neighbours for f that may lie"

    @classmethod
    def most(cls, neighbours: int) -> int:
        """So that one value or more is left."""
        return (neighbours - 1) // 2

    def combined(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mixed:
        """The mean of what is left, and by node the share of it that is its."""
        f, own = self.tolerated(node, models), models[node.id]
        if f < 0:
            return Mixed(own, {node.id: 1.0})
        heard = {j: model for j, model in models.items() if j != node.id}
        total, shares = middle(heard, f)
        count = len(heard) - 2 * f + 1
        influence = {j: share / count for j, share in shares.items()} | {node.id: 1 / count}
        return Mixed(total.add_(own).div_(count), influence)
