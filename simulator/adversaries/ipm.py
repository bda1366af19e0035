"""Inner product manipulation (Xie, Koyejo and Gupta 2019, arXiv:1903.03936)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from simulator.adversaries.neighbourhood import AT_NO_STRENGTH, Strength, neighbourhood, omniscient
from simulator.core.adversary import Adversary, Conspiracy, Seen
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.plan import Plan


class InnerProductManipulation(Adversary):
    """Pretend to have gone the opposite way, ``strength`` eps times as far as the honest nodes have in the mean.

    The attack was made for gradients. Of ``update``, the receiver i gets s_i - eps mean_j (x_j - s_j), with s the
    models that the round began with, and x what was trained, over i and its honest neighbours. Of ``model``, as in the
    code of He et al. (arXiv:2202.01545), it gets -eps mean_j x_j, which for a small eps does little more than shrink
    weights.
    """

    asks_starts = True
    neutral = AT_NO_STRENGTH

    class Config(Strength):
        """How far the lie goes, and of what."""

        name: str = "ipm"
        strength: NonNegativeFloat = 0.1
        on: Literal["update", "model"] = "update"

    config: Config

    @classmethod
    def check(cls, config: Any, plan: Plan, conspiracy: Conspiracy) -> Iterable[Problem]:
        if config.on == "update":
            yield from omniscient(conspiracy.knowledge, "it goes by the updates of honest nodes")

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        found = neighbourhood(node, to, seen)
        if found is None:
            return own
        mean = found.together.mean(dim=0)
        if self.config.on == "model":
            return mean * -self.config.strength
        starts = torch.stack([seen.starts[to], *(seen.starts[j] for j in found.models)])
        return seen.starts[to] - self.config.strength * (mean - starts.mean(dim=0))
