"""Gossip averaging, the mixing of decentralized parallel SGD (Lian et al. 2017, arXiv:1705.09056)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from simulator.core.linear_memory import Memory
from simulator.core.message import Message
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.row_mixing import MixedRows, RowMixing
from simulator.core.traits import MixerTraits
from simulator.mixers.weighted_sum import SumOfRow, weighted_sum


class Gossip(SumOfRow):
    """Every node sends its parameters to its neighbours and takes the weighted sum of what it has and hears.

    With x_i the parameters before and y_i after local training, W the mixing matrix and r the rate:

    * ``adapt_then_combine``: x_i <- y_i + r sum_j w_ij (y_j - y_i), which at r = 1 is sum_j w_ij y_j
    * ``combine_then_adapt``: x_i <- x_i + r sum_j w_ij (x_j - x_i) + (y_i - x_i), at r = 1 the order of Lian et al.:
      gradients are taken before mixing

    A rate below 1 is gossip with the matrix (1 - r) I + r W.
    """

    class Config(PartSettings):
        """Whether nodes mix after or before they train, and how far a mixing step goes."""

        name: str = "gossip"
        order: Literal["adapt_then_combine", "combine_then_adapt"] = "adapt_then_combine"
        rate: float = Field(1.0, gt=0, le=1)

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._sent: Tensor | None = None

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Linear: x <- y + r (sum_j w_ij s_j - s_i), with s what was sent: y itself, or x, which is known early."""
        sent = {"sent": {"parameters": 1.0}}
        mix = {"parameters": {"parameters": 1.0, "mixed": config.rate, "sent": -config.rate}}
        early = config.order == "combine_then_adapt"
        memory = Memory(before_round=sent, mix=mix) if early else Memory(after_local_training=sent, mix=mix)
        return MixerTraits(
            memory=memory, sends_early=early, sends_models=True, shows_trained=not early, beside_models=None
        )

    @classmethod
    def by_rows(cls, config: Any) -> RowMixing:
        """The same sums, of all rows."""

        def mixed(rows: MixedRows) -> Tensor:
            total = rows.sent.lerp(rows.total, config.rate) if config.rate < 1 else rows.total
            return total.add_(rows.parameters).sub_(rows.sent) if early else total

        early = config.order == "combine_then_adapt"
        return RowMixing(early, mixed)

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
        mixed = weighted_sum(node, terms)
        if self.config.rate < 1:
            mixed = self._sent.lerp(mixed, self.config.rate)
        if self.config.order == "combine_then_adapt":
            mixed.add_(node.parameters).sub_(self._sent)
        node.parameters.copy_(mixed)

    def averages(self, node: Node) -> Mapping[int, float] | None:
        """Its row of (1 - r) I + r W; none of combine-then-adapt, which mixes models from before training."""
        return None if self.config.order == "combine_then_adapt" else self.influence(node)

    def influence(self, node: Node) -> Mapping[int, float]:
        """Its row of (1 - r) I + r W, of what was sent."""
        rate = self.config.rate
        return {j: rate * weight + (1 - rate) * (j == node.id) for j, weight in node.weights.items()}
