"""Sharpness-aware decentralized learning (SADDLe; Choudhary, Aketi and Roy 2024, arXiv:2405.13961)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any, ClassVar

from pydantic import Field

from simulator.core.errors import Problem
from simulator.core.method import METHODS, Method
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits
from simulator.training.hooks import overrides
from simulator.training.sharpness import sharp_gradient


class SADDLe(Method):
    """Every step goes along the gradient from a little up the slope, towards minima that are flat around a node.

    With g_i(x) the gradient of node i's batch at x (without weight decay), a step takes the place of g_i(x_i) by that
    of sharpness-aware minimisation::

        g_i(x_i + rho g_i(x_i) / |g_i(x_i)|)

    which costs two gradients a step, and sends nothing more. Followed by `quasi_global_momentum` it is the paper's
    Q-SADDLe; with the mixer choco, its compressed form. N-SADDLe is `neighbourhood_gradient_clustering` with a ``rho``
    of its own, for there neighbours' gradients are taken so as well. ``rho: 0`` is plain SGD.

    The second gradient is of a whole batch. Privacy of single samples' gradients does not reach it, and where it is
    taken depends on the first one in no linear way, so no exact account holds.
    """

    class Config(PartSettings):
        """How far up the slope, in the norm of all parameters."""

        name: str = "saddle"
        rho: float = Field(0.1, ge=0)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"rho": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Gradients are taken where no linear map says."""
        way = "takes a second gradient of every whole batch, which no clip of single samples' gradients has seen"
        return Traits(stackable=True, row_wise=True, losses="watches", beside_gradients=way)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Both gradients must be of the same loss, and nothing may have changed the first one."""
        for settings in plan.methods:
            method = METHODS.load(settings.name)
            if overrides(method, "per_sample_loss") and method.traits(settings).losses != "watches":
                what = f"{settings.name} changes the loss, and the second gradient is of the plain one."
                yield Problem("", what, f"Remove {settings.name} or {config.name}.")
            if overrides(method, "early_incoming") and overrides(method, "before_step"):
                what = f"{settings.name} puts its neighbours' gradients beside the node's, and they would not be sharp."
                yield Problem("", what, f"Remove {config.name}, and set rho of {settings.name} if it has one.")
        for settings in takewhile(lambda each: each.name != config.name, plan.methods):
            if overrides(METHODS.load(settings.name), "before_step"):
                what = f"takes the gradient anew, and would lose what {settings.name} before it has made of the first."
                yield Problem("", what, f"List {config.name} before {settings.name}.")

    def before_step(self, node: Node, batch: Batch) -> None:
        """The second gradient in place of the first; weight decay stays as it is."""
        if not self.config.rho:
            return
        gradient, decay = node.gradient, node.training.optimizer.weight_decay
        first = gradient.sub(node.parameters, alpha=decay)
        gradient.copy_(sharp_gradient(node, node.parameters, batch, self.config.rho, first))
        gradient.add_(node.parameters, alpha=decay)
