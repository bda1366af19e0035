"""Nearest neighbour averaging, the mixing of MoNNA (Farhadkhani et al. 2023, arXiv:2209.10931)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from simulator.core.node import Node
from simulator.mixers.robust.base import ReweighingMixer
from simulator.mixers.robust.counts import CountingMixer, CountSettings
from simulator.mixers.robust.distances import nearest


class NNA(CountingMixer, ReweighingMixer):
    """The mean of the models nearest to the node's own, that among them, without the f farthest.

    With y_i the parameters after local training, and n_i the number of models that a node has, its own among them::

        x_i <- mean of the n_i - f vectors among y_i and all y_j that are nearest to y_i,   f < n_i / 2

    All weigh the same, whatever W says: at f = 0 this is gossip, adapt then combine, where the rows of W are uniform,
    and elsewhere it is not. The nodes' mean is not kept. The paper's promises are for momentum at the nodes, such as
    training.optimizer.momentum: 0.99.
    """

    class Config(CountSettings):
        """How many neighbours may lie."""

        name: str = "nna"

    config: Config
    demand: ClassVar[str] = "needs at least 2f neighbours for f that may lie"

    @classmethod
    def most(cls, neighbours: int) -> int:
        """Less than half of all models."""
        return neighbours // 2

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """The same weight for all that are kept."""
        order = [node.id, *nearest(away)]
        kept = set(order[: len(order) - self.tolerated(node, models)])
        return {j: (j in kept) / len(kept) for j in sorted(models)}
