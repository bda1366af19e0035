"""Global update tracking (GUT, QG-GUTm; Aketi, Hashemi and Roy 2023, arXiv:2305.04792)."""

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
from simulator.mixers.gossip import Gossip
from topologies import Links, lambda_min


class GlobalUpdateTracking(Method):
    """Nodes track how the models around them move, which is known from the models, and step along that.

    With x_i what node i sends, u_i = sum_j w_ij x_j - x_i what mixing does to it, g_i the gradient at the mixed model
    x_i + u_i (weight decay included), eta the learning rate and d_i = g_i - u_i / eta, a round is::

        y_i = d_i + mu (sum_j w_ij m_j' - (1 + beta) u_i' / eta' - d_i')        # ' is of the last round, 0 in the first
        m_i = beta m_i' + y_i
        x_i <- x_i - eta m_i

    as the released code has it. As m_j' = (x_j' - x_j) / eta', its mean over the neighbourhood is how the mixed model
    has moved, which a node sees for itself: nothing but parameters is sent, and no neighbour's model is kept. What is
    done here is the same, a step along g_i + c_i from the mixed model. With several local steps, where that code has
    one, g is their mean and eta their number times the learning rate. ``beta: 0`` is GUT, with mu 0.9 in the released
    runs. ``beta: 0.9`` is QG-GUTm, with a mu from 0.005 to 0.08 there: this momentum goes along what models have moved,
    mixing included.

    Without momentum, W doubly stochastic keeps the sum over nodes of c at 0: the mean model goes along the mean
    gradient. Nodes with different data settle where plain gossip with the rate (1 - mu) / (1 + mu beta) eta would.

    W must be symmetric, the same in every round, and its smallest eigenvalue (at a mixer's rate r, 1 - r + r lambda)
    above -(1 + beta (2 + mu)) / (1 + mu (2 - beta)), and beta + mu below 1. For without a gradient, along an
    eigenvector of W, x_next = ((1 + mu) lambda + beta) x - (beta (1 + mu) + mu (1 - beta) lambda) x_previous.
    ``mu: 0`` with ``beta: 0`` is plain gossip.
    """

    class Config(PartSettings):
        """The weight of what is tracked (mu), and of momentum along one's own movement (beta)."""

        name: str = "global_update_tracking"
        mu: float = Field(0.9, ge=0, lt=1)
        beta: float = Field(0.0, ge=0, lt=1)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"mu": 0.0, "beta": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """The correction is made of models before and after mixing and of the round's gradients, all of them linear."""

        def memory(pace: Pace) -> Memory:
            mu, beta, scale = config.mu, config.beta, 1 / (pace.learning_rate * pace.local_steps)
            correction = {
                **{"start": (mu + beta) * scale, "parameters": -mu * scale, "trained": -beta * scale},
                **{"mean": -mu, "shift": -(1 + mu) * beta * scale},
            }
            return Memory(
                before_round={"start": {"parameters": 1.0}, "mean": {}},
                before_step={
                    "mean": {"mean": 1.0, "gradient": 1 / pace.local_steps},
                    "gradient": {"gradient": 1.0, "correction": 1.0},
                },
                after_local_training={"trained": {"parameters": 1.0}},
                after_mixing={"correction": correction, "shift": {"parameters": 1.0, "trained": -1.0}},
            )

        return Traits(stackable=True, beside_gradients=None, memory=memory)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The recursion needs one symmetric W, applied to models that were just trained, and must not grow."""
        if not isinstance(plan.mixer, Gossip.Config) or plan.mixer.order != "adapt_then_combine":
            what = "reads how the network moves from what averaging does to trained models, and this mixer does not."
            yield Problem("", what, "Set mixer: {name: gossip, order: adapt_then_combine}.")
        if plan.training.optimizer.momentum:
            what = "has a momentum of its own, which it tracks, and that of the optimizer is on."
            yield Problem("", what, "Set training.optimizer.momentum: 0 (and nesterov: false), and beta.")
        if plan.steps_differ:
            what = "compares movements of nodes, which must take the same number of steps of the same size."
            how = "Remove local_steps and lr from training.nodes, and let no method change the number of steps."
            yield Problem("", what, how)
        if config.mu + config.beta >= 1:
            what = (
                f"lets the mean model run away: mu + beta is {config.mu + config.beta:.4g}, so no movement ever ends."
            )
            yield Problem("", what, "Set mu below 1 - beta; with beta: 0.9, 0.005 to 0.08 are the released values.")
        if plan.varies:
            what = "needs the same mixing matrix in every round: other links would look like a movement of the models."
            how = "Set topology.schedule: static and no topology.failures, or use gradient_tracking."
            yield Problem("", what, how)
        else:
            rate = plan.mixer.rate if isinstance(plan.mixer, Gossip.Config) else 1.0
            yield from _spectrum(config.mu, config.beta, rate, plan.network.at(0))

    def setup(self, node: Node) -> None:
        """Nothing has moved yet."""
        self.correction, self.shift = torch.zeros_like(node.parameters), torch.zeros_like(node.parameters)

    def before_round(self, node: Node) -> None:
        """Keep where the round begins; a new mean begins."""
        self._start, self._mean = node.parameters.clone(), torch.zeros_like(node.parameters)

    def before_step(self, node: Node, batch: Batch) -> None:
        """Correct the gradient."""
        self._mean.add_(node.gradient, alpha=1 / node.local_steps)
        node.gradient.add_(self.correction)

    def after_local_training(self, node: Node) -> None:
        """Keep what is sent."""
        self._trained = node.parameters.clone()

    def after_mixing(self, node: Node) -> None:
        """What was tracked, and the momentum, are the next correction."""
        mu, beta, scale = self.config.mu, self.config.beta, 1 / (node.learning_rate * node.local_steps)
        around = (self._start - node.parameters).sub_(self.shift, alpha=beta).mul_(scale).sub_(self._mean)
        own = self._start.sub_(self.shift).sub_(self._trained)
        self.correction = around.mul_(mu).add_(own, alpha=beta * scale)
        self.shift = node.parameters - self._trained

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive: the correction, and what the last mixing did."""
        return {"correction": self.correction, "shift": self.shift}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what `state_dict` gave."""
        self.correction.copy_(state["correction"])
        self.shift.copy_(state["shift"])


def _spectrum(mu: float, beta: float, rate: float, links: Links) -> Iterable[Problem]:
    if not links.is_symmetric:
        yield Problem("", "needs a symmetric mixing matrix.", "Set topology.weights: metropolis_hastings or lazy.")
        return
    smallest = 1 - rate * (1 - lambda_min(links.matrix))
    bound = -(1 + beta * (2 + mu)) / (1 + mu * (2 - beta))
    if (mu or beta) and smallest <= bound + 1e-9:
        what = f"diverges on this network: the smallest eigenvalue of its mixing matrix is {smallest:.4f}, and at or "
        why = f"below {bound:.4f} the differences between nodes grow from round to round, or never die out."
        yield Problem("", what + why, "Set topology.weights: lazy, or a smaller mu.")
