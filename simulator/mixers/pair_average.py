"""Pairwise averaging, the node's side of asynchronous gossip (AD-PSGD, Lian et al. 2018, arXiv:1710.06952)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.registry import PartSettings


class PairAverage(Mixer):
    """The node's side: average with one neighbour at a time, and add afterwards what was learned meanwhile."""

    def __init__(self) -> None:
        super().__init__(PartSettings(name="pair_average"))
        self._update: Tensor | None = None

    def before_round(self, node: Node) -> None:
        """Keep where the training begins."""
        self._start = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Take the update out again: neighbours see nothing of it before the node has finished."""
        self._update = node.parameters - self._start
        node.parameters.copy_(self._start)

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The parameters as they are now."""
        return {"parameters": node.parameters.clone()}

    def answer(self, node: Node, inbox: Sequence[Message]) -> None:
        """x_i <- (x_i + x_j) / 2."""
        (message,) = inbox
        node.parameters.add_(message.parts["parameters"]).mul_(0.5)

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Average, then add the update."""
        assert self._update is not None  # set when the node trained
        self.answer(node, inbox)
        node.parameters.add_(self._update)

    def state_dict(self) -> dict[str, Tensor]:
        """The update that is waiting, once there is one."""
        return {} if self._update is None else {"update": self._update}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the update."""
        self._update = state["update"]
