"""Running statistics that travel beside a node's model, and are averaged with the weights of its row of W."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.message import Message

if TYPE_CHECKING:
    from simulator.core.node import Node

PART = "buffers"


class StatisticsExchange:
    """The part "buffers" of messages that carry models: float [running], 4 bytes a value in single precision.

    A node averages what it hears with what it has (see `Layout.merged`), by the weights with which its mixer averages
    models; where the mixer sums in another way, by its row of W. Counters do not travel. In an asynchronous run,
    statistics move when an activation begins, unlike parameters: there is no update that could be held back.

    Args:
        node: has buffers.
    """

    def __init__(self, node: Node) -> None:
        assert node.buffers is not None
        self._node, self._buffers = node, node.buffers
        self._handed: Tensor | None = None
        self._answer: Tensor | None = None

    @property
    def _travel(self) -> bool:
        return self._buffers.settings.travel_in(self._node.round)

    def prepare(self) -> None:
        """Before the messages of an exchange: one copy for all receivers, or what a neighbour that asked is to get."""
        self._handed, self._answer = self._answer, None

    def outgoing(self) -> Mapping[str, Tensor]:
        """The statistics as they are now; to a neighbour that has asked, as they were when it did."""
        if not self._travel:
            return {}
        if self._handed is None:
            self._handed = self._buffers.running.clone()
        return {PART: self._handed}

    def parts(self, round: int) -> Mapping[str, Declared]:
        """What `outgoing` hands out in ``round``."""
        return {PART: Declared.like(self._buffers.running)} if self._buffers.settings.travel_in(round) else {}

    def objection(self, message: Message) -> str | None:
        """Whether a message that has arrived holds variances that there cannot be."""
        sent = message.parts.get(PART)
        if sent is not None and bool((self._buffers.layout.variances(sent) < 0).any()):
            return f"holds negative variances in part '{PART}'"
        return None

    def answer(self, inbox: Sequence[Message]) -> None:
        """A neighbour asks in the middle of a round: keep what it is to get, and average."""
        self._answer = self._buffers.running.clone()
        self._average(inbox, dict.fromkeys([self._node.id, *(message.sender for message in inbox)], 0.5))

    def mix(self, inbox: Sequence[Message]) -> None:
        """Average with what has been heard, in order of node id."""
        self._average(inbox, self._node.mixer.averages(self._node) or self._node.weights)

    def _average(self, inbox: Sequence[Message], weights: Mapping[int, float]) -> None:
        heard = {message.sender: message.parts[PART] for message in inbox if PART in message.parts}
        if heard and self._travel:
            terms = {**heard, self._node.id: self._buffers.running}
            merged = self._buffers.layout.merged((weights[j], terms[j]) for j in sorted(terms))
            self._buffers.running.copy_(merged)
