"""Masked neighbour sums: gossip whose receivers make out the sum of what they hear, and no single message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.errors import Problem, RunError
from simulator.core.linear_memory import Memory
from simulator.core.message import MASKED, Message
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits
from simulator.mixers.fixed_point import decoded, encoded
from simulator.mixers.maskable import unmaskable
from simulator.mixers.weighted_sum import SumOfRow


class MaskedSums(SumOfRow):
    """Gossip of masked messages: what every node adds up is the average, and nothing else can be made of what it hears.

    Each two senders of a receiver draw a mask that it cannot draw, which one of them adds and the other takes off, as
    in secure aggregation (Bonawitz et al. 2017, eprint 2017/281), and here without a server (CESAR, Biswas et al. 2024,
    arXiv:2405.07708, with all coordinates sent). With y_i the parameters after local training, W the mixing matrix,
    N(v) who sends to v and E(a) = round(2^44 a)::

        m_{j->v} = E(w_vj y_j) + sum_{k in N(v) without j} p_jk   (mod 2^64),   p_jk = -p_kj uniform, by v and round
        x_v <- (E(w_vv y_v) + sum_{j in N(v)} m_{j->v}) / 2^44

    The masks cancel exactly, so this is gossip, adapt then combine, to within 2^-44. A message has 8 bytes a parameter.

    W and who sends to whom are known to all before each round, so that masks are drawn by those who do send. Where a
    message is lost for all that, the masks of its sender stay in the sum: the receiver keeps the model that it has, and
    says so in the metric ``masked_sums/discarded``. In a simulation the experiment's seed stands for the keys of the
    pairs. In a deployment masks follow from what the two have by Diffie-Hellman of their certified keys, by SHAKE256.

    Nothing is hidden of a single sender, so receivers of one are refused. Of senders who tell the receiver what they
    sent, all but one, the last one is seen as by gossip. The sum itself is public: it is what noise has to protect.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "masked_sums"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._senders: frozenset[int] = frozenset()

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Linear, as gossip at rate 1; of the messages, sums."""
        sent, mix = {"sent": {"parameters": 1.0}}, {"parameters": {"mixed": 1.0}}
        return MixerTraits(memory=Memory(after_local_training=sent, mix=mix), sums=True, beside_models=None)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The rows of W must sum to 1, senders be known beforehand and never single, and nothing else travel."""
        return (*super().check(config, plan), *unmaskable(plan))

    def before_round(self, node: Node) -> None:
        """Remember who will have masked what it sends."""
        self._senders = frozenset(node.weights) - {node.id}

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The node's term of the receiver's sum, under a mask for each other node that has one in it."""
        row = node.rows[to]
        term = _encoded(node, row[node.id])
        for other in sorted(row.keys() - {to, node.id}):
            term.add_(_mask(node, other, to), alpha=1 if node.id < other else -1)
        return {MASKED: term}

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """Any whole numbers of 64 bits."""
        return {MASKED: Declared(torch.int64, tuple(node.parameters.shape), -(2.0**63), 2.0**63)}

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Add up what has come, if all of it has."""
        if {message.sender for message in inbox} != self._senders:
            node.log("masked_sums/discarded", 1.0)
            return
        total = _encoded(node, node.weights[node.id])
        for message in inbox:
            total.add_(message.parts[MASKED])
        try:
            node.parameters.copy_(decoded(total))
        except OverflowError as error:
            what = f"node {node.id}, round {node.round}: the masks of what it hears do not cancel, but leave {error}."
            raise RunError(f"{what}\n    Give all nodes the same experiment.") from error

    def averages(self, node: Node) -> Mapping[int, float]:
        """The averages are those of gossip: by the node's row of W."""
        return node.weights


def _encoded(node: Node, weight: float) -> Tensor:
    try:
        return encoded(node.parameters, weight)
    except OverflowError as error:
        what = f"node {node.id}, round {node.round}: masked_sums was given {error}."
        raise RunError(f"{what}\n    Lower the learning rate or the noise, or set mixer: gossip.") from error


def _mask(node: Node, other: int, to: int) -> Tensor:
    """int64 [parameters]: what this node and ``other`` draw for what they send to node ``to`` in this round."""
    count = node.parameters.numel()
    drawn = node.link_bytes(other, f"masked_sums.to.{node.number_of(to)}", 8 * count)
    return torch.from_numpy(np.frombuffer(drawn, "<i8").astype(np.int64)).to(node.parameters.device)
