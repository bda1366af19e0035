"""Neighbourhood gradient clustering (NGC; Aketi, Kodge and Roy 2022, arXiv:2209.14390), sharpness-aware if asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.method import METHODS, Method
from simulator.core.mixer import MIXERS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits
from simulator.training.hooks import overrides
from simulator.training.sharpness import sharp_gradient

PART = "ngc.gradient"


class NeighbourhoodGradientClustering(Method):
    """Every step goes along the mean of gradients at one's own model and data and at those of the neighbours.

    With x_i the model of node i when the round begins, d_i its batch, N its neighbours and a = alpha::

        exchange 1: x_i to every neighbour
        exchange 2: g(x_j, d_i) back to every neighbour j: its gradient on data that it has not seen
        g_i = (1 - a) mean(g(x_i, d_i), g(x_j, d_i) of all j) + a mean(g(x_i, d_i), g(x_i, d_j) of all j)

    and then one local step along g_i, with weight decay and momentum as ever, and the mixing of the models of exchange
    1. The released code's default is a = 1, data of the neighbours; a = 0, their models, needs no second exchange.
    Means are over the neighbours that were heard.

    With ``rho`` above 0 every g is that of sharpness-aware minimisation, g(x + rho g(x) / |g(x)|), at twice the cost:
    with a = 1 this is N-SADDLe (Choudhary, Aketi and Roy 2024, arXiv:2405.13961).

    A neighbour learns the gradient of one batch of the node at a model of its own choice, raw: nothing here is private,
    and no account of privacy holds. There is no neutral setting: a node always steps along its neighbours' gradients.
    """

    class Config(PartSettings):
        """How much neighbours' data weigh against their models, and how far up the slope gradients are taken."""

        name: str = "neighbourhood_gradient_clustering"
        alpha: float = Field(1.0, ge=0, le=1)
        rho: float = Field(0.0, ge=0)

    config: Config
    neutral: ClassVar[Mapping[str, Any] | None] = None

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Two exchanges before the step, or one where neighbours' data weigh nothing; gradients have no account."""
        way = "sends gradients of private samples as they are"
        return Traits(exchanges=2 if config.alpha else 1, row_wise=True, losses="watches", beside_gradients=way)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Models must be sent before the one local step, and all gradients be of the same loss."""
        if not MIXERS.load(plan.mixer.name).traits(plan.mixer).sends_early:
            what = "neighbours take gradients at the models that a round begins with, and these are sent after it."
            yield Problem("", what, "Set mixer: {name: gossip, order: combine_then_adapt}.")
        if plan.training.local_steps != 1 or plan.steps_differ:
            what = "neighbours exchange the gradients of one step a round, and some take more."
            yield Problem("", what, "Set training.local_steps: 1, for all nodes.")
        if not plan.network.schedule.laws.two_way:  # what fails one way is left out of the means, as all that fails
            what = "neighbours answer each other, and some links go one way."
            yield Problem("", what, "Choose an undirected graph.")
        if plan.apart:
            what = "neighbours take gradients at each other's models, and some exchange none."
            yield Problem("", what, "Run without the method or setting that keeps them apart.")
        for settings in plan.methods:
            changes = overrides(METHODS.load(settings.name), "per_sample_loss") and settings.name != config.name
            if changes and METHODS.load(settings.name).traits(settings).losses != "watches":
                what = f"{settings.name} changes the loss, and neighbours' gradients are of the plain cross-entropy."
                yield Problem("", what, f"Remove {settings.name} or {config.name}.")

    def before_round(self, node: Node) -> None:
        """Nobody has been heard."""
        self._models: dict[int, Tensor] = {}
        self._data: dict[int, Tensor] = {}

    def early_parts(self, node: Node, sender: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """A gradient, back to whose model it is of."""
        return {PART: replace(Declared.like(node.parameters), optional=True)} if exchange == 2 else {}

    def early_incoming(self, node: Node, exchange: int, inbox: Sequence[Message]) -> None:
        """Take one's own data's gradients at the neighbours' models; keep those of their data at one's own."""
        if exchange == 2:
            self._data = {message.sender: message.parts[PART] for message in inbox}
            return
        batch = node.coming_batch()
        models = {message.sender: message.parts["parameters"] for message in inbox}
        self._models = {j: sharp_gradient(node, model, batch, self.config.rho) for j, model in models.items()}

    def early_outgoing(self, node: Node, message: Message) -> Message:
        """In exchange 2, the gradient at the receiver's model, if that has come."""
        if message.exchange == 1 or message.receiver not in self._models:
            return message
        return replace(message, parts={**message.parts, PART: self._models[message.receiver]})

    def before_step(self, node: Node, batch: Batch) -> None:
        """The mean of all gradients in place of one's own; weight decay stays as it is."""
        gradient, decay = node.gradient, node.training.optimizer.weight_decay
        models = (1 - self.config.alpha) / (len(self._models) + 1)
        data = self.config.alpha / (len(self._data) + 1)
        gradient.sub_(node.parameters, alpha=decay)
        if self.config.rho:
            gradient.copy_(sharp_gradient(node, node.parameters, batch, self.config.rho, gradient.clone()))
        gradient.mul_(models + data)
        for gradients, weight in ((self._models, models), (self._data, data)):
            for sender in sorted(gradients) if weight else ():
                gradient.add_(gradients[sender], alpha=weight)
        gradient.add_(node.parameters, alpha=decay)
