"""Messages that hold no model: none at all, or one that is no number."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from simulator.core.adversary import Adversary, Seen
from simulator.core.node import Node
from simulator.core.registry import PartSettings


class Silent(Adversary):
    """Send nothing: neighbours weigh themselves in its place, as where a link is lost."""

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "silent"

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> None:
        return None


class NonFinite(Adversary):
    """Send numbers that are none; neighbours refuse them, and go on as if nothing had come."""

    class Config(PartSettings):
        """What stands for every number."""

        name: str = "non_finite"
        value: Literal["nan", "inf"] = "nan"

    config: Config

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        return torch.full_like(own, float(self.config.value))
