"""Where nodes run. A backend has one duty: to carry its nodes through a superstep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from simulator.core.flat_module import FlatModule
from simulator.core.message import Message
from simulator.core.node import Node, Place
from simulator.core.registry import Part, Registry
from simulator.core.report import Artifact, Metric


@dataclass(frozen=True)
class Order:
    """What the nodes do in a superstep, in this order.

    Attributes:
        absorb: mix the messages of the round before.
        answer: send one's own parameters back to the senders and mix theirs, in the middle of a round.
        finalize: the run is over: let the methods finish.
        evaluate: measure the node on the test set.
        snapshot: copy the node's state.
        work: train and send the messages of the next round.
        send: send once more, without training.
        nodes: who takes part; None: everyone.
        places: where each node stands from the next round on; None where nothing changes.
    """

    absorb: bool = False
    answer: bool = False
    finalize: bool = False
    evaluate: bool = False
    snapshot: bool = False
    work: bool = False
    send: bool = False
    nodes: Collection[int] | None = None
    places: Mapping[int, Place] | None = None


@dataclass(frozen=True)
class Evaluation:
    """One node, measured: ``training_loss`` is the mean since the last evaluation, None before the first step."""

    accuracy: float
    loss: float
    training_loss: float | None
    parameters: Tensor


@dataclass
class Reply:
    """What comes back from one node."""

    messages: list[Message] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    artifacts: list[tuple[str, Artifact]] = field(default_factory=list)
    evaluation: Evaluation | None = None
    state: dict[str, Tensor] | None = None


class Backend(Part, ABC):
    """Runs the node program of all nodes."""

    @abstractmethod
    def start(self, nodes: Sequence[Node], build_module: Callable[[], FlatModule]) -> None:
        """Take charge of ``nodes``; every worker builds a module of its own."""

    @abstractmethod
    def superstep(self, order: Order, inboxes: Mapping[int, Sequence[Message]]) -> dict[int, Reply]:
        """Carry out ``order`` at its nodes, each with its messages; replies by node id, in order."""

    @abstractmethod
    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Restore the nodes' states, before the first superstep."""

    def close(self) -> None:
        """Release workers and memory."""


BACKENDS: Registry[Backend] = Registry("backends")
