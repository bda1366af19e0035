"""Iterative outlier scissor, IOS (Wu, Chen and Ling 2023, arXiv:2206.04568)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from simulator.core.node import Node
from simulator.mixers.robust.base import ReweighingMixer
from simulator.mixers.robust.counts import CountingMixer, CountSettings
from simulator.mixers.robust.distances import distances, nearest
from simulator.mixers.weighted_sum import summed


class IOS(CountingMixer, ReweighingMixer):
    """Gossip without f neighbours, which are cut off one by one, each time the farthest from the mean of all kept.

    With y_i the parameters after local training, W the mixing matrix and K all nodes that i hears, and i itself::

        f times: z <- sum_{j in K} w_ij y_j / sum_{j in K} w_ij;  K <- K without the neighbour j farthest from z
        x_i <- sum_{j in K} w_ij y_j / sum_{j in K} w_ij

    At f = 0 this is gossip, adapt then combine, to the bit. The nodes' mean is not kept. The paper's promises are for
    neighbours that lie with less than a third of the weight.
    """

    class Config(CountSettings):
        """How many neighbours may lie."""

        name: str = "ios"

    config: Config
    demand: ClassVar[str] = "needs at least 2f neighbours for f that may lie"

    @classmethod
    def most(cls, neighbours: int) -> int:
        """Less than half of all models."""
        return neighbours // 2

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """The row over those that are kept, made to sum to 1."""
        kept = row
        for _ in range(self.tolerated(node, models)):
            away = distances({j: models[j] for j in kept if j != node.id}, self._centre(kept, models))
            farthest = nearest(away)[-1]
            kept = _alone({j: weight for j, weight in kept.items() if j != farthest})
        return {j: kept.get(j, 0.0) for j in row}

    @staticmethod
    def _centre(kept: Mapping[int, float], models: Mapping[int, Tensor]) -> Tensor:
        """The mean of those that are ``kept``, in double precision."""
        return summed(kept, {j: models[j].double() for j in kept})


def _alone(weights: Mapping[int, float]) -> dict[int, float]:
    """``weights`` made to sum to 1."""
    total = sum(weights[j] for j in sorted(weights))
    return {j: weight / total for j, weight in weights.items()}
