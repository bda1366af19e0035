"""The attack along the graph's weakest cut (Gaucher, Dieuleveut and Hendrikx 2025, arXiv:2410.10418)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import NonNegativeFloat
from torch import Tensor

from simulator.adversaries.neighbourhood import AT_NO_STRENGTH, Strength, omniscient
from simulator.core.adversary import Adversary, Conspiracy, Seen
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.plan import Plan


class Spectral(Adversary):
    """Send x_i + a v_i sum_j v_j x_j, where v is the unit Fiedler vector of the honest nodes' graph.

    It feeds the difference between the two sides of the graph that gossip takes longest to even out. ``strength`` is a;
    the paper finds the worst one by a line search.
    """

    neutral = AT_NO_STRENGTH
    asks_fiedler = True

    class Config(Strength):
        """By how much the difference is fed."""

        name: str = "spectral"
        strength: NonNegativeFloat = 10.0

    config: Config

    @classmethod
    def check(cls, config: Any, plan: Plan, conspiracy: Conspiracy) -> Iterable[Problem]:
        yield from omniscient(conspiracy.knowledge, "it goes by the models of all honest nodes")

    def watch(self, node: Node, seen: Seen) -> None:
        assert node.attackers is not None  # it is one of them
        self._across: Tensor | None = None
        for j, model in seen.models.items():
            term = model * node.attackers.fiedler[j]
            self._across = term if self._across is None else self._across.add_(term)

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        assert node.attackers is not None
        if to not in seen.models or self._across is None:
            return own
        return seen.models[to] + self.config.strength * node.attackers.fiedler[to] * self._across
