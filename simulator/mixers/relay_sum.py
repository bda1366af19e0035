"""RelaySum (Vogels et al. 2021, arXiv:2110.04175): on a tree, relayed sums reach every node exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import networkx as nx
import torch
from torch import Tensor

from simulator.core.declaration import LARGEST, Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import MixerTraits
from simulator.mixers.weighted_sum import check_terms


class RelaySum(Mixer):
    """Nodes of a tree relay sums of models instead of averaging them away, the mixing of RelaySGD.

    A message carries the sum over everything on the sender's side of the link, as it was last heard there, and how
    many models that is. With y_i the parameters after local training, N(i) the neighbours and n all nodes::

        m_{i->j} = y_i + sum_{k in N(i) without j} m_{k->i} (of the last round);   c_{i->j} likewise, with 1 for y_i
        x_i <- (y_i + sum_{j in N(i)} m_{j->i} + (n - 1 - sum_j c_{j->i}) fill_i) / n

    So x_i is the mean of n models, that of a node d hops away being d - 1 rounds old. Unlike gossip it has no bias
    from different data: with a constant learning rate, all nodes come to rest at the same minimum. That holds while
    every message arrives: where links change or fail, nodes fill in for what is missing, weigh some models more than
    others, and come to rest nowhere or elsewhere. Nor does a round keep the sum over the nodes, for what it adds up is
    of different ages. The weights of the mixing matrix are not used. What stands in for models that have not arrived
    yet, in as many rounds as the tree's diameter at the start and one after a lost message, is ``fill``:

    * ``own``: the node's own y_i, which works wherever the nodes start and needs no memory
    * ``initial``: what the node started with, which keeps early rounds closer to the start

    The part "parameters" of a message is the sum; "relay_count" is c, int64, 8 bytes. Each neighbour gets another sum.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "relay_sum"
        fill: Literal["own", "initial"] = "own"

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._initial: Tensor | None = None
        self._sums: dict[int, Tensor] = {}
        self._counts: dict[int, int] = {}

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """Only sums of models are sent."""
        return MixerTraits(beside_models=None)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The graph must be a tree: in a cycle, sums would come back and be counted again. Its W is not used."""
        if not nx.is_tree(plan.topology.graph):
            yield Problem(
                "",
                f"needs a tree, an undirected graph without cycles; the '{plan.topology.graph_name}' graph is none.",
                "Set topology.spanning_tree: true, or choose the chain, star or tree graph.",
            )
        weights = plan.topology.weights_name
        if weights != "metropolis_hastings" and not plan.varies and not plan.methods:
            what = f"sums models and does not weigh them: topology.weights: {weights} would change nothing."
            yield Problem("", what, "Leave topology.weights out.")

    @classmethod
    def notes(cls, config: Any, plan: Plan) -> Iterable[str]:
        """That it is biased where messages do not arrive."""
        if plan.varies:
            yield (
                "relay_sum is exact only while every link carries every round: where links change or fail, nodes fill "
                "in for what is missing and count some models more than others, so that they settle off the minimum"
            )

    def before_round(self, node: Node) -> None:
        """Remember where the node started."""
        if self.config.fill == "initial" and self._initial is None:
            self._initial = node.parameters.clone()

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The node's own parameters and all it heard last round, except from ``to``."""
        others = [k for k in self._sums if k != to]
        count = 1 + sum(self._counts[k] for k in others)
        return {"parameters": self._sum(node, others), "relay_count": torch.tensor([count])}

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """A sum over some of the other nodes, and of how many."""
        count = Declared(torch.int64, (1,), least=1, most=node.num_nodes - 1)
        return {"parameters": Declared.like(node.parameters, LARGEST * node.num_nodes), "relay_count": count}

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Mean over what arrived and the fill for what did not."""
        check_terms(node, [node.id, *(message.sender for message in inbox)])
        self._sums = {message.sender: message.parts["parameters"] for message in inbox}
        self._counts = {message.sender: int(message.parts["relay_count"].item()) for message in inbox}
        missing = node.num_nodes - 1 - sum(self._counts.values())
        fill = node.parameters if self._initial is None else self._initial
        node.parameters.copy_(self._sum(node, self._sums).add_(fill, alpha=missing).div_(node.num_nodes))

    def _sum(self, node: Node, senders: Iterable[int]) -> Tensor:
        """The node's own parameters plus the sums of ``senders``, in order of node id; a new tensor."""
        terms = {k: self._sums[k] for k in senders} | {node.id: node.parameters}
        first, *rest = sorted(terms)
        total = terms[first].clone()
        for k in rest:
            total.add_(terms[k])
        return total

    def shown(self, node: Node, message: Message) -> Tensor:
        """Sum over count: the mean of the models on the node's side of the link, which is its own if it is a leaf."""
        return message.parts["parameters"] / message.parts["relay_count"].item()

    def state_dict(self) -> dict[str, Tensor]:
        """What was heard last, and where the node started if that is used."""
        sums = {f"sum.{k}": total for k, total in self._sums.items()}
        counts = {f"count.{k}": torch.tensor(count) for k, count in self._counts.items()}
        return sums | counts | ({} if self._initial is None else {"initial": self._initial})

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from what was heard last."""
        senders = [int(name.removeprefix("sum.")) for name in state if name.startswith("sum.")]
        self._sums = {k: state[f"sum.{k}"].clone() for k in sorted(senders)}
        self._counts = {k: int(state[f"count.{k}"]) for k in sorted(senders)}
        self._initial = state["initial"].clone() if "initial" in state else None
