"""Rules that are told which weight in a node's row of W neighbours that lie may hold, or how many they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, NonNegativeInt
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.mixers.robust.base import ReweighingMixer
from simulator.mixers.robust.distances import ROUNDING


class ShareSettings(PartSettings):
    """``byzantine``: how many neighbours of a node may lie, or which weight of its row they may hold together.

    A whole number f is a count, for which the f largest weights of the row in each round are taken; a number below 1 is
    the weight itself.
    """

    byzantine: NonNegativeInt | Annotated[float, Field(gt=0, lt=1)] = 1


class ShareMixer(ReweighingMixer):
    """Base of rules that take so much weight of a node's neighbours to be held by those that lie, in every round."""

    config: ShareSettings

    @classmethod
    @abstractmethod
    def silenced(cls, byzantine: float) -> float:
        """The weight that is heard less, or not at all, where those that lie may hold ``byzantine``."""

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Every node must be left with somebody to hear."""
        yield from super().check(config, plan)
        for node in range(0 if plan.varies else plan.topology.num_nodes):
            row = plan.topology.row(node)
            b = _held(config.byzantine, row, node)
            heard, silenced = sum(row.values()) - row[node], cls.silenced(b)
            if b and silenced > heard - ROUNDING:
                what = f"node {node} would hear nobody: its neighbours weigh {heard:.3g} together, of which those that "
                what += f"may lie hold {b:.3g}, so that {config.name} sets {silenced:.3g} aside."
                yield Problem("byzantine", what, "Lower it, or choose a graph in which every node has more neighbours.")
                return

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """The row as it is, where nobody lies."""
        b = _held(self.config.byzantine, row, node.id)
        return self.guarded(node.id, row, away, b) if b else row

    @abstractmethod
    def guarded(
        self, own: int, row: Mapping[int, float], away: Mapping[int, float], byzantine: float
    ) -> Mapping[int, float]:
        """Weights of all models, where those that lie may hold the weight ``byzantine``, above 0, of the row."""


def _held(byzantine: float, row: Mapping[int, float], own: int) -> float:
    """The weight that those who lie may hold in ``row``."""
    others = sorted((weight for j, weight in row.items() if j != own), reverse=True)
    return sum(others[:byzantine]) if isinstance(byzantine, int) else min(byzantine, sum(others))
