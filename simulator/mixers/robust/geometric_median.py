"""Geometric median by a smoothed Weiszfeld iteration (RFA, Pillutla, Kakade and Harchaoui 2022, arXiv:1912.13445)."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, PositiveInt
from torch import Tensor

from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.mixers.robust.base import ReweighingMixer
from simulator.mixers.robust.distances import distances
from simulator.mixers.weighted_sum import summed


class GeometricMedian(ReweighingMixer):
    """A point with a small sum of distances to the node's own model and its neighbours'.

    With y_i the parameters after local training and K all nodes that i hears, and i itself, z begins as y_i::

        iterations times: b_j <- 1 / max(nu, ||y_j - z||);  z <- sum_{j in K} b_j y_j / sum_{j in K} b_j
        x_i <- z

    All weigh the same beforehand, whatever W says. It stands any minority that lies, and needs no count of it. It is
    gossip, adapt then combine, only where the rows of W are uniform and all distances below nu; the nodes' mean is not
    kept. So few iterations do not converge where models are far apart: of 0, 1, 2 and 10 in one dimension, seen from 0,
    eight reach 1.09998, and every point from 1 to 2 is a median.
    """

    class Config(PartSettings):
        """How often it is iterated, and below which distance models count alike."""

        name: str = "geometric_median"
        iterations: PositiveInt = 8
        nu: float = Field(0.1, gt=0)

    config: Config

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """The weights of the last iteration."""
        doubles = {j: model.double() for j, model in models.items()}
        centre, weights = doubles[node.id], dict[int, float]()
        for step in range(self.config.iterations):
            inverse = {j: 1 / max(self.config.nu, d) for j, d in distances(doubles, centre).items()}
            total = sum(inverse[j] for j in sorted(inverse))
            weights = {j: each / total for j, each in inverse.items()}
            if step + 1 < self.config.iterations:  # the last one is taken with the models as they are
                centre = summed(weights, doubles)
        return weights
