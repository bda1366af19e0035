"""Gossip averaging, the mixing of decentralized parallel SGD (Lian et al. 2017, arXiv:1705.09056)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.registry import PartSettings


class Gossip(Mixer):
    """Every node sends its parameters to its neighbours and takes the weighted sum of what it has and hears.

    With x_i the parameters before and y_i after local training, and W the mixing matrix:

    * ``adapt_then_combine``: x_i <- sum_j w_ij y_j
    * ``combine_then_adapt``: x_i <- sum_j w_ij x_j + (y_i - x_i), the order of Lian et al.: gradients are taken
      before mixing
    """

    class Config(PartSettings):
        """Settings of `Gossip`."""

        name: str = "gossip"
        order: Literal["adapt_then_combine", "combine_then_adapt"] = "adapt_then_combine"

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._sent: Tensor | None = None

    def before_round(self, node: Node) -> None:
        """Combine-then-adapt sends the parameters as they are before training."""
        if self.config.order == "combine_then_adapt":
            self._sent = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Adapt-then-combine sends them as they are after it."""
        if self.config.order == "adapt_then_combine":
            self._sent = node.parameters.clone()

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The same parameters to every neighbour: one copy, shared."""
        assert self._sent is not None  # set earlier in the round
        return {"parameters": self._sent}

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Weighted sum in order of node id, the node's own term in its place."""
        assert self._sent is not None  # set earlier in the round
        terms = {message.sender: message.parts["parameters"] for message in inbox} | {node.id: self._sent}
        first, *rest = sorted(terms)
        mixed = torch.mul(terms[first], node.weights[first])
        for sender in rest:
            mixed.add_(terms[sender], alpha=node.weights[sender])
        if self.config.order == "combine_then_adapt":
            mixed.add_(node.parameters).sub_(self._sent)
        node.parameters.copy_(mixed)
