"""Keeping nodes apart (He, Karimireddy and Jaggi 2022, arXiv:2202.01545, section 5)."""

from __future__ import annotations

from pydantic import NonNegativeFloat
from torch import Tensor

from simulator.adversaries.neighbourhood import AT_NO_STRENGTH, Neighbourhood, Strength, neighbourhood
from simulator.core.adversary import Adversary, Seen
from simulator.core.node import Node
from simulator.core.registry import PartSettings


class Dissensus(Adversary):
    """Send x_i - eps sum_{j honest} w_ij (x_j - x_i) / sum_{b attacker} w_ib; ``strength`` is eps.

    Under gossip, node i then moves by 1 - eps of what its honest neighbours would have moved it by: at 1 it stays where
    it is, above that it moves away from them.
    """

    neutral = AT_NO_STRENGTH

    class Config(Strength):
        """By how much the honest neighbours are outvoted."""

        name: str = "dissensus"
        strength: NonNegativeFloat = 1.5

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        found = neighbourhood(node, to, seen)
        return own if found is None else against(found, self.config.strength)


class Isolation(Adversary):
    """Send what leaves the receiver's weighted mean where the receiver is: dissensus with eps = 1."""

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "isolation"

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        found = neighbourhood(node, to, seen)
        return own if found is None else against(found, 1.0)


def against(found: Neighbourhood, strength: float) -> Tensor:
    """float [parameters]: what undoes ``strength`` times what honest neighbours would move the receiver by."""
    step = found.target.new_zeros(found.target.shape)
    for j, model in found.models.items():
        step.add_(model - found.target, alpha=found.row[j])
    return found.target - strength / found.attackers * step
