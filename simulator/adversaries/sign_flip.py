"""Sign flipping (Li et al. 2019, RSA, arXiv:1811.03761; of models as He et al. 2022, arXiv:2202.01545)."""

from __future__ import annotations

from torch import Tensor

from simulator.adversaries.neighbourhood import AT_NO_STRENGTH, Strength
from simulator.core.adversary import Adversary, Seen
from simulator.core.node import Node


class SignFlip(Adversary):
    """Send -s x_a: its own trained model, turned round and made ``strength`` s times as long."""

    neutral = AT_NO_STRENGTH

    class Config(Strength):
        """How long the lie is, as a multiple of the model."""

        name: str = "sign_flip"

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        return own * -self.config.strength
