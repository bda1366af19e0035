"""Gaussian noise in the place of knowledge."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from simulator.adversaries.neighbourhood import AT_NO_STRENGTH, Strength
from simulator.core.adversary import Adversary, Seen
from simulator.core.node import Node


class Gaussian(Adversary):
    """Send x_a + s N(0, I), the same to every neighbour, drawn anew in each round; ``strength`` is s."""

    neutral = AT_NO_STRENGTH

    class Config(Strength):
        """The standard deviation of each entry."""

        name: str = "gaussian"
        strength: NonNegativeFloat = 10.0

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        noise = torch.from_numpy(node.rng("adversary.gaussian").standard_normal(len(own)))
        return own + self.config.strength * noise.to(own)
