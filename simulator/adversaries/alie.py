"""A little is enough (Baruch, Baruch and Goldberg 2019, arXiv:1902.06156), neighbourhood by neighbourhood."""

from __future__ import annotations

from statistics import NormalDist

from pydantic import NonNegativeFloat
from torch import Tensor

from simulator.adversaries.neighbourhood import AT_NO_STRENGTH, Strength, neighbourhood
from simulator.core.adversary import Adversary, Seen
from simulator.core.node import Node


class Alie(Adversary):
    """Send mu - z sigma, coordinate by coordinate, over the receiver and its honest neighbours.

    sigma has the divisor n - 1. The paper's z, `published_z`, is below 0 or next to it in neighbourhoods of a few
    nodes, so that there would be no attack: here ``strength`` is z.
    """

    neutral = AT_NO_STRENGTH

    class Config(Strength):
        """How many standard deviations from the mean."""

        name: str = "alie"
        strength: NonNegativeFloat = 1.5

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        found = neighbourhood(node, to, seen)
        if found is None or not found.models:
            return own
        models = found.together
        return models.mean(dim=0) - self.config.strength * models.std(dim=0)


def published_z(nodes: int, attackers: int) -> float:
    """The largest z at which the lie is hidden by enough honest nodes, of ``nodes`` in all, as the paper has it."""
    supporters = nodes // 2 + 1 - attackers
    return NormalDist().inv_cdf((nodes - attackers - supporters) / (nodes - attackers))
