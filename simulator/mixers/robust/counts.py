"""Rules that are told how many of a node's neighbours may lie: what they can take, and what to do where it is less."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import NonNegativeInt
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.mixers.robust.base import RobustMixer


class CountSettings(PartSettings):
    """``byzantine``: how many neighbours of a node may lie, f; more than there are is the cost of a defence."""

    byzantine: NonNegativeInt = 1


class CountingMixer(RobustMixer):
    """Base of rules with a fixed count f of neighbours that may lie.

    Where a round leaves a node too few neighbours for f, as failures and lost messages can, it takes as many as it can,
    and says how many in the metric ``<name>/byzantine``. Where there are too few for any, it keeps its model.

    Attributes:
        demand: how many neighbours are needed, as the end of a sentence that begins with the name.
    """

    config: CountSettings
    demand: ClassVar[str]

    @classmethod
    @abstractmethod
    def most(cls, neighbours: int) -> int:
        """The largest f that the rule can take among so many neighbours; below 0: not even 0."""

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Every node must have enough neighbours, if all its links are there."""
        yield from super().check(config, plan)
        for node in range(plan.topology.num_nodes):
            heard = len(plan.topology.in_neighbours(node))
            if (most := cls.most(heard)) < config.byzantine:
                what = f"{cls.demand}; node {node} has {heard}, and {config.byzantine} may lie."
                lower = f"Set byzantine: {most}, or c" if most >= 0 else "C"
                yield Problem("byzantine", what, f"{lower}hoose a graph in which every node has more neighbours.")
                return

    @classmethod
    def notes(cls, config: Any, plan: Plan) -> Iterable[str]:
        """That rounds may leave too few."""
        if plan.varies and config.byzantine:
            yield (
                f"where links change or fail, a node may hear too few for {config.name} to stand {config.byzantine} "
                f"that lie; it then takes fewer, and says how many in the metric {config.name}/byzantine"
            )

    def tolerated(self, node: Node, models: Mapping[int, Tensor]) -> int:
        """How many of the senders of ``models`` are taken to lie; below 0: nothing can be made of so few."""
        most = self.most(len(models) - 1)
        if most < self.config.byzantine:
            node.log(f"{self.config.name}/byzantine", max(most, 0))
        return min(self.config.byzantine, most)
