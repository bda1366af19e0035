"""Gradient tracking (NEXT, Di Lorenzo & Scutari 2016, arXiv:1602.00591; DIGing, Nedic et al. 2017, arXiv:1607.03218).

With several local steps a round it is K-GT (Liu et al. 2023, arXiv:2301.01313).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.mixer import MIXERS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits
from simulator.mixers.weighted_sum import weighted_sum

TRACKER = "gradient_tracking.tracker"


class GradientTracking(Method):
    """Nodes gossip an estimate of the network's mean gradient and step along it, instead of along their own.

    With g the gradient (weight decay included), gbar its mean over the round's local steps, W the mixing matrix, and a
    correction c that begins at 0::

        every local step goes along  g + strength c
        y_i = gbar_i + c_i                        # the tracker, sent beside the parameters: twice the bytes
        c_i <- sum_j w_ij y_j - gbar_i

    So y <- W y + gbar - gbar_previous, from y = gbar in the first round. With one local step and ``strength: 1`` a
    step goes along y itself: X <- W (X - eta Y) where the mixer adapts then combines, X <- W X - eta Y (DIGing) where
    it combines then adapts. A doubly stochastic W keeps sum_i y_i = sum_i gbar_i in every round, also when it changes
    from round to round, and whatever the mixer does to the parameters. Hence nodes with different data agree, under a
    constant and small enough rate and with any number of local steps, on a stationary point of their mean loss.
    Combining first bears smaller rates where W has negative eigenvalues, below (1 + lambda_min)^2 / 2 for a curvature
    of 1, so lazy weights help there.

    ``strength`` is this project's: with one local step, nodes go along (1 - strength) g + strength y and settle where
    plain gossip with the rate (1 - strength) eta would. At 0 they train as by plain gossip; trackers still travel.
    """

    class Config(PartSettings):
        """How much of the tracked gradient replaces the own one: 0 is plain gossip, 1 is gradient tracking."""

        name: str = "gradient_tracking"
        strength: float = Field(1.0, ge=0, le=1)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"strength": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """What it remembers depends on gradients and on neighbours' trackers, so that it declares no linear memory."""
        return Traits(stackable=True, beside_gradients=None)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Mixing must keep the sum of the trackers in every round, and a step must go along them alone."""
        if plan.training.optimizer.momentum:
            yield Problem(
                "",
                "steps along the tracked gradient, and the optimizer's momentum would add those of earlier rounds.",
                "Set training.optimizer.momentum: 0 (and nesterov: false).",
            )
        if plan.steps_differ:
            yield Problem(
                "",
                "is exact only if all nodes take the same number of steps of the same size.",
                "Remove local_steps and lr from training.nodes, and let no method change the number of steps.",
            )
        if plan.apart:
            yield Problem(
                "",
                "mixes trackers over all links, and a method keeps parameters from travelling over some.",
                "Keep one of the two.",
            )
        if MIXERS.load(plan.mixer.name).traits(plan.mixer).weighs_models:
            what = f"sums trackers as they are, so a node that lies moves them all, whatever {plan.mixer.name} does."
            yield Problem("", what, "Set mixer: gossip, or run without gradient_tracking.")
        if not plan.network.schedule.laws.doubly_stochastic:
            yield Problem(
                "",
                "needs a mixing matrix whose columns sum to 1 as its rows do, in every round; "
                f"{plan.topology.weights_name} weights on this graph lose track of the mean gradient.",
                "Set topology.weights: metropolis_hastings, on an undirected graph.",
            )
        elif not plan.network.laws.doubly_stochastic:
            yield Problem(
                "",
                "loses track of the mean gradient where links fail one way, or weigh differently in their directions.",
                "Set topology.failures.symmetric: true, on an undirected graph; or remove topology.failures.",
            )

    def setup(self, node: Node) -> None:
        """Nothing is known of the others' gradients."""
        self.correction = torch.zeros_like(node.parameters)
        self._received: dict[int, Tensor] = {}

    def before_round(self, node: Node) -> None:
        """A new mean begins."""
        self._mean = torch.zeros_like(node.parameters)

    def before_step(self, node: Node, batch: Batch) -> None:
        """Correct the gradient."""
        self._mean.add_(node.gradient)
        node.gradient.add_(self.correction, alpha=self.config.strength)

    def after_local_training(self, node: Node) -> None:
        """Make the round's tracker."""
        self._mean.div_(node.local_steps)
        self.tracker = self._mean + self.correction

    def outgoing(self, node: Node, message: Message) -> Message:
        """Send the tracker along."""
        return replace(message, parts={**message.parts, TRACKER: self.tracker})

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """A tracker, as large as the model."""
        return {TRACKER: Declared.like(node.parameters)}

    def incoming(self, node: Node, message: Message) -> Message:
        """Keep a neighbour's tracker."""
        self._received[message.sender] = message.parts[TRACKER]
        return message

    def after_mixing(self, node: Node) -> None:
        """Mix the trackers into the next correction."""
        self.correction = weighted_sum(node, self._received | {node.id: self.tracker}) - self._mean
        self._received = {}

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive between rounds."""
        return {"correction": self.correction}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the correction."""
        self.correction.copy_(state["correction"])
