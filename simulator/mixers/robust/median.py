"""Coordinate-wise median of all models (Yin et al. 2018, arXiv:1803.01498; on graphs BRIDGE-M, arXiv:1908.08098)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.mixers.robust.base import Mixed, RobustMixer
from simulator.mixers.robust.coordinates import middle


class Median(RobustMixer):
    """In every coordinate, the median of the node's own value and its neighbours'.

    With y_i the parameters after local training and N(i) the neighbours, in each coordinate::

        x_i <- median of {y_i} and {y_j : j in N(i)},   of an even number the mean of the two in the middle

    It stands any minority that lies, and needs no count of it. It never is gossip where a node has two neighbours or
    more, W is not used, and the nodes' mean is not kept: it costs accuracy where nodes' data differ and nobody lies.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "median"

    def combined(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mixed:
        """The value or the mean of the two in the middle, and by node the share of it that is its."""
        total, shares = middle(models, (len(models) - 1) // 2)
        count = 2 - len(models) % 2
        return Mixed(total.div_(count), {j: share / count for j, share in shares.items()})
