"""Krum and Multi-Krum (Blanchard, El Mhamdi, Guerraoui and Stainer 2017, arXiv:1703.02757)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import PositiveInt
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.mixers.robust.base import ReweighingMixer
from simulator.mixers.robust.counts import CountingMixer, CountSettings
from simulator.mixers.robust.distances import nearest, squares


class Krum(CountingMixer, ReweighingMixer):
    """The model, or the mean of the few models, with the smallest sum of squared distances to those nearest to it.

    With y_i the parameters after local training and n_i the number of models that a node has, its own among them::

        s_j = sum of ||y_j - y_k||^2 over the n_i - f - 2 nodes k nearest to j
        x_i <- mean of the y_j with the ``keep`` smallest s_j,   n_i >= 2f + 3

    Of equal scores, that of the smaller id is the smaller one. W is not used, the node's own model is one among others,
    and x_i is in general another node's model, also at f = 0: it never is gossip. The nodes' mean is not kept, and it
    costs much accuracy where nodes' data differ. Above 1, ``keep`` makes it Multi-Krum; at most n_i - f - 2.
    """

    class Config(CountSettings):
        """How many neighbours may lie, and how many models are averaged."""

        name: str = "krum"
        keep: PositiveInt = 1

    config: Config
    demand: ClassVar[str] = "needs at least 2f + 2 neighbours for f that may lie"

    @classmethod
    def most(cls, neighbours: int) -> int:
        """Scores are of one distance or more, and of a majority."""
        return (neighbours - 2) // 2

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """No more models are kept than a score is made of."""
        yield from super().check(config, plan)
        fewest = min(len(plan.topology.in_neighbours(node)) for node in range(plan.topology.num_nodes))
        if cls.most(fewest) >= config.byzantine and config.keep > (most := fewest - config.byzantine - 1):
            what = f"keeps at most n - f - 2 models, and a node has {fewest + 1} with its own, of which "
            what += f"{config.byzantine} may lie."
            yield Problem("keep", what, f"Set keep: {most}, or choose a graph in which every node has more neighbours.")

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """The same weight for all that are kept."""
        f = self.tolerated(node, models)
        if f < 0:
            return {j: float(j == node.id) for j in sorted(models)}
        scored = len(models) - f - 2
        kept = set(nearest(_scores(models, scored))[: min(self.config.keep, scored)])
        return {j: (j in kept) / len(kept) for j in sorted(models)}


def _scores(models: Mapping[int, Tensor], count: int) -> dict[int, float]:
    """Sums of squared distances of each of ``models`` to the ``count`` nearest others, by node."""
    found: dict[int, list[float]] = {j: [] for j in sorted(models)}
    for place, j in enumerate(ids := sorted(models)):
        for k, square in squares({k: models[k] for k in ids[place + 1 :]}, models[j]).items():
            found[j].append(square)
            found[k].append(square)
    return {j: sum(sorted(each)[:count]) for j, each in found.items()}
