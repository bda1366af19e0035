"""Pairwise averaging, the node's side of asynchronous gossip (AD-PSGD, Lian et al. 2018, arXiv:1710.06952)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits


class PairAverage(Mixer):
    """The node's side: average with one neighbour at a time, and add afterwards what was learned meanwhile."""

    class Config(PartSettings):
        """There is nothing to choose: the clock and the links say who meets whom, and when."""

        name: str = "pair_average"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._update: Tensor | None = None
        self._answer: Tensor | None = None

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Two neighbours average whenever one of them asks."""
        return MixerTraits(pairwise=True, sends_models=True, beside_models=None)

    def before_round(self, node: Node) -> None:
        """Keep where the training begins."""
        self._start = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Take the update out again: neighbours see nothing of it before the node has finished."""
        self._update = node.parameters - self._start
        node.parameters.copy_(self._start)

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The parameters as they are now; to a neighbour that has asked, as they were when it did."""
        answer, self._answer = self._answer, None
        return {"parameters": node.parameters.clone() if answer is None else answer}

    def early_incoming(self, node: Node, exchange: int, inbox: Sequence[Message]) -> None:
        """A neighbour asks: x_i <- (x_i + x_j) / 2, in the middle of a round."""
        self._answer = node.parameters.clone()
        self._average(node, inbox)

    def _average(self, node: Node, inbox: Sequence[Message]) -> None:
        (message,) = inbox
        node.parameters.add_(message.parts["parameters"]).mul_(0.5)

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Average, then add the update."""
        assert self._update is not None  # set when the node trained
        self._average(node, inbox)
        node.parameters.add_(self._update)

    def state_dict(self) -> dict[str, Tensor]:
        """The update that is waiting, once there is one."""
        return {} if self._update is None else {"update": self._update}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the update."""
        self._update = state["update"]
