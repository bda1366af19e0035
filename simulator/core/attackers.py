"""Who lies in a network, what they come to know, and what an attacker's node sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from simulator.core.adversary import Adversary, Seen
from simulator.core.message import OVERHEARD, Message
from simulator.core.nested_state import load_nested, nested

if TYPE_CHECKING:
    from simulator.core.node import Node

START = "start"  # beside `OVERHEARD`: the model with which the sender began the round


@dataclass(frozen=True)
class Attackers:
    """Who lies in a network. Attackers know each other, and all links.

    Attributes:
        nodes: ids of the attackers.
        overhearing: of these, the omniscient ones.
        starts: whether any of them asks for the models that honest nodes began a round with.
        fiedler: by id of each honest node, its entry in the unit eigenvector of the second smallest eigenvalue of the
            honest subgraph's Laplacian; empty where no attack asks for it.
        distances: by id of each honest node, how many links it is away from the nearest attacker.
        measures: one adversary of each attack, to measure at honest nodes what it has achieved.
    """

    nodes: frozenset[int] = frozenset()
    overhearing: frozenset[int] = frozenset()
    starts: bool = False
    fiedler: Mapping[int, float] = field(default_factory=dict)
    distances: Mapping[int, int] = field(default_factory=dict)
    measures: Sequence[Adversary] = ()

    def shifted(self, by: int) -> Attackers:
        """The same in a network whose first node has the id ``by``, where it was 0."""
        return replace(
            self,
            nodes=frozenset(node + by for node in self.nodes),
            overhearing=frozenset(node + by for node in self.overhearing),
            fiedler={node + by: entry for node, entry in self.fiedler.items()},
            distances={node + by: links for node, links in self.distances.items()},
        )

    def told(self, sent: Sequence[Message], start: Tensor | None) -> Iterator[Message]:
        """What omniscient attackers come to know of an honest node that has ``sent`` its model.

        ``start`` is the model with which it began the round, if they ask for that.
        """
        models = [message.parts["parameters"] for message in sent if "parameters" in message.parts]
        if models:
            parts = {OVERHEARD: models[0]} | ({} if start is None else {START: start})
            yield from (replace(sent[0], receiver=each, parts=parts) for each in sorted(self.overhearing))


class Attacker:
    """The attacker's side of a node's program.

    Args:
        adversary: what it does.
        first: the round in which the attack begins, counted from 1.
        omniscient: whether it knows what honest nodes send before it sends.
    """

    def __init__(self, adversary: Adversary, first: int, omniscient: bool) -> None:
        self.adversary, self.omniscient = adversary, omniscient
        self._first = first
        self._seen = Seen()

    def lies(self, node: Node) -> bool:
        """Whether the attack goes on in the round under way."""
        return node.round >= self._first and not self.adversary.is_idle

    def waits(self, node: Node) -> bool:
        """Whether it sends only after it has overheard what honest nodes send."""
        return self.omniscient and self.lies(node)

    def begin(self, node: Node) -> None:
        """A round begins: from that of the attack on, samples are poisoned."""
        node.training_set.poison = self.adversary.poison(node) if self.lies(node) else None

    def overhear(self, messages: Iterable[Message]) -> None:
        """Take in what honest nodes send in this round."""
        told = {message.sender: message.parts for message in sorted(messages, key=lambda message: message.sender)}
        starts = {node: parts[START] for node, parts in told.items() if START in parts}
        self._seen = Seen({node: parts[OVERHEARD] for node, parts in told.items()}, starts)

    def hear(self, node: Node, inbox: Sequence[Message]) -> None:
        """Take in what honest neighbours have sent it, which it goes by in the next round unless it is omniscient."""
        assert node.attackers is not None  # it is one of them
        honest = [message for message in inbox if message.sender not in node.attackers.nodes]
        if not self.omniscient:
            self._seen = Seen({each.sender: each.parts["parameters"] for each in honest if "parameters" in each.parts})

    def lie(self, node: Node, messages: Sequence[Message]) -> list[Message]:
        """``messages``, which the node would send if it were honest, as they leave."""
        if not self.lies(node):
            return list(messages)
        self.adversary.watch(node, self._seen)
        return [lie for message in messages if (lie := self._lie(node, message)) is not None]

    def _lie(self, node: Node, message: Message) -> Message | None:
        own = message.parts.get("parameters")
        if own is None:
            return message
        crafted = self.adversary.craft(node, message.receiver, own, self._seen)
        if crafted is None:
            return None
        return message if crafted is own else replace(message, parts={**message.parts, "parameters": crafted})

    def state_dict(self) -> dict[str, Tensor]:
        """What it has heard, and the adversary's own state, as named tensors."""
        state = nested([("adversary/", self.adversary)])
        if self.omniscient or not self._seen.models:
            return state
        heard = torch.stack(list(self._seen.models.values()))
        return state | {"heard": heard, "heard_of": torch.tensor(list(self._seen.models))}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        load_nested([("adversary/", self.adversary)], state)
        self._seen = Seen()
        if "heard" in state:
            self._seen = Seen(dict(zip(state["heard_of"].tolist(), state["heard"], strict=True)))
