"""Stochastic gradient push (Assran et al. 2019, arXiv:1811.10792): averaging over directed links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from sys import float_info
from typing import Any

import torch
from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits
from simulator.mixers.weighted_sum import weighted_sum


class PushSum(Mixer):
    """Nodes pass on numerators and weights, and train at their quotient; W may be directed and change every round.

    Node i holds a numerator x_i, which begins as its parameters, and a weight v_i = 1. Its model is z_i = x_i / v_i.
    With P the mixing matrix, whose columns sum to 1, a round is::

        x_i <- x_i + (what training added to z_i)
        x_i <- sum_j p_ij x_j;  v_i <- sum_j p_ij v_j;  z_i <- x_i / v_i

    Mixing keeps the sums over the nodes of x and of v, so z goes to the plain mean even where the rows of P do not sum
    to 1. Where they do, all weights stay 1, and this is gossip, adapt then combine. Training at z and moving x by what
    that gives is due to Nedic and Olshevsky (arXiv:1303.2289).

    The part "parameters" of a message is the numerator; "push_weight" is v, float64, 8 bytes.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "push_sum"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._numerator: Tensor | None = None
        self._weight = 1.0

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Only numerators and weights are sent."""
        return MixerTraits(beside_models=None)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The columns of W must sum to 1, in every round."""
        if not plan.laws.columns:
            failing = (
                "links that fail one way, or whose two directions weigh differently, take that from these weights."
            )
            never = f"those of '{plan.topology.weights_name}' do not here."
            why = failing if plan.network.schedule.laws.columns else never
            what = f"needs a mixing matrix whose columns sum to 1 in every round, and {why}"
            yield Problem("", what, "Set topology.weights: push.")

    @classmethod
    def keeps_sum(cls, config: Any, plan: Plan) -> bool:
        """Of the numerators, which is what training and noise are added to."""
        return plan.laws.columns

    def after_local_training(self, node: Node) -> None:
        """Whatever moved the model since the last mixing moves the numerator by as much."""
        if self._numerator is None:
            self._numerator = node.parameters.clone()
        # In this order the numerator is exactly the model where the weight is exactly 1.
        self._numerator = node.parameters + (self._numerator - self._numerator / self._weight)

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """Numerator and weight; the receiver scales them by its row of the mixing matrix."""
        assert self._numerator is not None  # set earlier in the round
        return {"parameters": self._numerator, "push_weight": torch.tensor([self._weight], dtype=torch.float64)}

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """The weights are positive, and sum to the number of nodes."""
        weight = Declared(torch.float64, (1,), least=float_info.min, most=2.0 * node.num_nodes)
        return {"parameters": Declared.like(node.parameters), "push_weight": weight}

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Sum numerators and weights, then divide."""
        assert self._numerator is not None  # set earlier in the round
        numerators = {message.sender: message.parts["parameters"] for message in inbox} | {node.id: self._numerator}
        weights = {message.sender: message.parts["push_weight"].item() for message in inbox} | {node.id: self._weight}
        self._numerator = weighted_sum(node, numerators)
        self._weight = sum(node.weights[j] * weights[j] for j in sorted(weights))
        node.parameters.copy_(self._numerator / self._weight)

    def shown(self, node: Node, message: Message) -> Tensor:
        """Numerator over weight."""
        return message.parts["parameters"] / message.parts["push_weight"].item()

    def state_dict(self) -> dict[str, Tensor]:
        """Numerator and weight."""
        if self._numerator is None:
            return {}
        return {"numerator": self._numerator, "push_weight": torch.tensor([self._weight], dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved numerator and weight."""
        if state:
            self._numerator, self._weight = state["numerator"].clone(), state["push_weight"].item()
