"""What attackers know of the neighbourhood of a node that they lie to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from simulator.core.adversary import Seen
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.registry import PartSettings

AT_NO_STRENGTH: Mapping[str, Any] = {"strength": 0.0}


class Strength(PartSettings):
    """Settings of an attack that has a strength; at 0, the node does not lie."""

    strength: NonNegativeFloat = 1.0


class Neighbourhood(NamedTuple):
    """Those that node i hears, as an attacker among them knows it.

    Attributes:
        target: float [parameters], the model x_i.
        models: float [parameters] of the honest nodes that i hears and the attacker knows of, by id, in order.
        row: i's row of the W of the round.
        attackers: the weight of all attackers in that row.
    """

    target: Tensor
    models: Mapping[int, Tensor]
    row: Mapping[int, float]
    attackers: float

    @property
    def together(self) -> Tensor:
        """float [nodes, parameters]: i and its honest neighbours."""
        return torch.stack([self.target, *self.models.values()])


def neighbourhood(node: Node, to: int, seen: Seen) -> Neighbourhood | None:
    """That of the receiver ``to``; None where the attacker does not know its model."""
    assert node.attackers is not None  # it is one of them
    if to not in seen.models:
        return None
    row = node.rows[to]
    models = {j: model for j, model in seen.models.items() if j in row and j != to}
    return Neighbourhood(seen.models[to], models, row, sum(row[j] for j in sorted(row.keys() & node.attackers.nodes)))


def omniscient(knowledge: str, why: str) -> Iterable[Problem]:
    """A problem for an attack that cannot do with what neighbours have said: ``why``."""
    if knowledge != "omniscient":
        yield Problem(
            "", f"{why}, which only an omniscient attacker knows.", "Set knowledge: omniscient beside attack."
        )
