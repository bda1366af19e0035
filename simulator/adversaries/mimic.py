"""Mimicking an honest node (Karimireddy, He and Jaggi 2022, arXiv:2006.09365, section 3 and appendix B)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from simulator.core.adversary import Adversary, Conspiracy, Seen
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings


class Mimic(Adversary):
    """Send the model x_j of one honest node j, the same to every neighbour: no rule that looks at messages can tell.

    That node then counts for more than others, which costs where nodes hold different data. Without a ``node`` named,
    j is the one with the largest |z^T (x_j - mu)|, where mu is the mean of the models known and z follows the direction
    in which they differ most: z <- t/(t+1) z + 1/(t+1) sum_j (x_j - mu)(x_j - mu)^T z, made of length 1, from the first
    model's difference on.
    """

    class Config(PartSettings):
        """Whom to mimic."""

        name: str = "mimic"
        node: NonNegativeInt | None = None

    config: Config

    @classmethod
    def check(cls, config: Any, plan: Plan, conspiracy: Conspiracy) -> Iterable[Problem]:
        """Whom it names must be there, be honest, and be known to all who mimic it."""
        nodes = plan.topology.num_nodes
        if config.node is None:
            return
        deaf = [k for k in conspiracy.members if config.node not in plan.topology.in_neighbours(k)]
        if config.node >= nodes:
            yield Problem("node", f"there is no node {config.node}.", f"Count from 0 to {nodes - 1}.")
        elif config.node in conspiracy.attackers:
            yield Problem("node", f"node {config.node} lies itself, and an honest one is mimicked.", "Name another.")
        elif conspiracy.knowledge == "heard" and deaf:
            what = f"attacker {deaf[0]} hears nothing from node {config.node}, and would send its own model."
            yield Problem("node", what, "Name a neighbour of all of them, or set knowledge: omniscient.")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._direction: Tensor | None = None
        self._rounds = 0
        self._chosen: int | None = None

    def watch(self, node: Node, seen: Seen) -> None:
        if not seen.models:
            return
        if self.config.node is not None:
            self._chosen = node.id - node.number + self.config.node
            return
        models = torch.stack(list(seen.models.values())).double()
        apart = models - models.mean(dim=0)
        if self._direction is None:
            self._direction = apart[0].clone()
        t = self._rounds
        turned = t / (t + 1) * self._direction + apart.T @ (apart @ self._direction) / (t + 1)
        length = turned.norm()
        self._direction = turned / length if length > 0 else self._direction
        self._rounds += 1
        self._chosen = list(seen.models)[int((apart @ self._direction).abs().argmax())]

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        return own if self._chosen is None else seen.models.get(self._chosen, own)

    def state_dict(self) -> dict[str, Tensor]:
        if self._direction is None:
            return {}
        return {"direction": self._direction, "rounds": torch.tensor(self._rounds)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if "direction" in state:
            self._direction, self._rounds = state["direction"], int(state["rounds"])
