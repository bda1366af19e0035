"""D2 (Tang et al. 2018, arXiv:1803.07068), with lazy weights exact diffusion (Yuan et al. 2017, arXiv:1702.05122)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits
from simulator.mixers.gossip import Gossip
from topologies import Links, lambda_min


class D2(Method):
    """Nodes undo what the last mixing did to their model, so that different data do not pull them apart.

    With u the round's local update (-eta times the gradient for one step), psi = x + u, W the mixing matrix and a
    correction c that begins at 0::

        x <- sum_j w_ij (psi_j + strength c_j)            # the mixer's sum; nothing but parameters is sent
        c <- x - psi

    For one local step, no momentum, ``strength: 1`` and a constant rate eta this is Tang et al.'s
    X_next = W (2 X - X_previous - eta (G - G_previous)), under which nodes agree on a stationary point of their mean
    loss. The rate may change, for u holds the rate of its own round. With momentum or several local steps u is what
    these make of it; the drift within several local steps stays uncorrected.

    W must be symmetric, the same in every round, and have eigenvalues above -1/3; a mixer's rate r below 1 makes them
    1 - r + r lambda. For without a gradient, along an
    eigenvector of W, x_next = lambda ((1 + s) x - s x_previous) with s the strength; this grows, changing sign, where
    lambda < -1 / (1 + 2 s).

    ``strength`` is this project's: with one local step, nodes settle where plain gossip with the rate
    (1 - strength) eta would, and ``strength: 0`` is plain gossip.
    """

    class Config(PartSettings):
        """How much of the correction is applied: 0 is plain gossip, 1 is D2."""

        name: str = "d2"
        strength: float = Field(1.0, ge=0, le=1)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"strength": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """The correction holds what the last mixing did, and is sent with the next model."""
        memory = Memory(
            after_local_training={
                "trained": {"parameters": 1.0},
                "parameters": {"parameters": 1.0, "correction": config.strength},
            },
            after_mixing={"correction": {"parameters": 1.0, "trained": -1.0}},
        )
        return Traits(stackable=True, beside_gradients=None, memory=memory)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The recursion needs one symmetric W without very negative eigenvalues, applied after local training."""
        if not isinstance(plan.mixer, Gossip.Config) or plan.mixer.order != "adapt_then_combine":
            yield Problem(
                "",
                "corrects what averaging does to models that were just trained, and this mixer does something else.",
                "Set mixer: {name: gossip, order: adapt_then_combine}.",
            )
        if plan.steps_differ:
            yield Problem(
                "",
                "is exact only if all nodes take the same number of steps of the same size.",
                "Remove local_steps and lr from training.nodes, and let no method change the number of steps.",
            )
        if plan.varies:
            yield Problem(
                "",
                "needs the same mixing matrix in every round: it can diverge where links change.",
                "Set topology.schedule: static and no topology.failures, or use gradient_tracking.",
            )
        else:
            rate = plan.mixer.rate if isinstance(plan.mixer, Gossip.Config) else 1.0
            yield from _spectrum(config.strength, rate, plan.network.at(0))

    def setup(self, node: Node) -> None:
        """Nothing was mixed yet."""
        self.correction = torch.zeros_like(node.parameters)

    def after_local_training(self, node: Node) -> None:
        """Keep the trained model, and send the corrected one."""
        self._trained = node.parameters.clone()
        node.parameters.add_(self.correction, alpha=self.config.strength)

    def after_mixing(self, node: Node) -> None:
        """The correction becomes what mixing has just done to the model."""
        self.correction = node.parameters - self._trained

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive: the correction."""
        return {"correction": self.correction}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the correction."""
        self.correction.copy_(state["correction"])


def _spectrum(strength: float, rate: float, links: Links) -> Iterable[Problem]:
    lazy = "Set topology.weights: lazy, on an undirected graph."
    if not links.is_symmetric:
        yield Problem("", "needs a symmetric mixing matrix.", lazy)
        return
    smallest, bound = 1 - rate * (1 - lambda_min(links.matrix)), -1 / (1 + 2 * strength)
    if smallest <= bound + 1e-9:
        yield Problem(
            "",
            f"diverges on this network: the smallest eigenvalue of its mixing matrix is {smallest:.4f}, and at or "
            f"below {bound:.4f} the differences between nodes grow from round to round, or never die out.",
            lazy,
        )
