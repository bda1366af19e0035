"""Quasi-global momentum (Lin et al. 2021, "Quasi-Global Momentum", arXiv:2102.04761, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory, Pace
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits


class QuasiGlobalMomentum(Method):
    """Momentum from how the mixed model moves, instead of from the node's own skewed gradients.

    With g the gradient (weight decay included), eta the current learning rate, H the local steps and m the
    quasi-global buffer::

        u = beta m + g ;  direction = u, or g + beta u with Nesterov          (QG-DSGDm, QG-DSGDm-N)
        after mixing:  m <- mu m + (1 - mu) (x_before_round - x_after_mixing) / (eta H)

    The paper has H = 1; dividing by H keeps m the size of one step's direction. Nothing but parameters is sent. It
    takes the place of the optimizer's momentum, which must be 0. ``beta: 0`` is plain SGD.
    """

    class Config(PartSettings):
        """The weights of the buffer in a step (beta) and in its own average (mu)."""

        name: str = "quasi_global_momentum"
        beta: float = Field(0.9, ge=0, lt=1)
        mu: float = Field(0.9, ge=0, lt=1)
        nesterov: bool = True

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"beta": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """The buffer holds how mixed models have moved, and every step goes along it."""
        own, held = (1 + config.beta, config.beta**2) if config.nesterov else (1.0, config.beta)

        def memory(pace: Pace) -> Memory:
            scale = (1 - config.mu) / (pace.learning_rate * pace.local_steps)
            return Memory(
                before_round={"start": {"parameters": 1.0}},
                before_step={"gradient": {"gradient": own, "buffer": held}},
                after_mixing={"buffer": {"buffer": config.mu, "start": scale, "parameters": -scale}},
            )

        return Traits(stackable=True, beside_gradients=None, memory=memory)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The optimizer may not add a momentum of its own."""
        if plan.training.optimizer.momentum:
            yield Problem(
                "",
                "takes the place of the optimizer's momentum, and both are on.",
                "Set training.optimizer.momentum: 0 (and nesterov: false).",
            )

    def setup(self, node: Node) -> None:
        """An empty buffer."""
        self.buffer = torch.zeros_like(node.parameters)

    def before_round(self, node: Node) -> None:
        """Keep where the round began."""
        self._start = node.parameters.clone()

    def before_step(self, node: Node, batch: Batch) -> None:
        """Replace the gradient by the direction."""
        beta, gradient = self.config.beta, node.gradient
        if self.config.nesterov:
            gradient.mul_(1 + beta).add_(self.buffer, alpha=beta * beta)
        else:
            gradient.add_(self.buffer, alpha=beta)

    def after_mixing(self, node: Node) -> None:
        """Let the buffer follow the movement of the mixed model."""
        scale = (1 - self.config.mu) / (node.learning_rate * node.local_steps)
        self.buffer.mul_(self.config.mu).add_(self._start.sub_(node.parameters), alpha=scale)

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive: the buffer."""
        return {"buffer": self.buffer}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the buffer."""
        self.buffer.copy_(state["buffer"])
