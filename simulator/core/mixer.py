"""How parameters travel and combine. An experiment has exactly one mixer; every node owns an instance of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.plan import Plan
from simulator.core.registry import Part, Registry
from simulator.core.row_mixing import RowMixing
from simulator.core.traits import MixerTraits

if TYPE_CHECKING:
    from simulator.core.node import Node


class Mixer(Part, ABC):
    """Override `outgoing` and `mix`; the other hooks are there for mixers that keep something between them.

    Called in this order: ``before_round``, local training, ``after_local_training``, ``outgoing`` once a neighbour;
    the messages travel; ``mix``. Sums must run in order of node id, so that results do not depend on the order of
    arrival.
    """

    @classmethod
    def traits(cls, config: Any) -> MixerTraits:
        """What the mixer declares under ``config``; by default nothing, which is read strictly."""
        return MixerTraits()

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Problems of ``config`` within ``plan``; ``where`` is counted from the mixer's own block."""
        return ()

    @classmethod
    def notes(cls, config: Any, plan: Plan) -> Iterable[str]:
        """What whoever starts a run with ``config`` within ``plan`` should know first, though it is allowed."""
        return ()

    @classmethod
    def keeps_sum(cls, config: Any, plan: Plan) -> bool:
        """Whether `mix` keeps, in every round, the sum over the nodes of what they hold after training."""
        return False

    @classmethod
    def by_rows(cls, config: Any) -> RowMixing | None:
        """The same mixing for all nodes of a worker at once; None where there is no such.

        For speed: backends carry nodes one by one where it is None, or where something else asks for messages.
        """
        return None

    def before_round(self, node: Node) -> None:
        """Before local training."""

    def after_local_training(self, node: Node) -> None:
        """Freeze what will be sent: parts of a message may not be written to after they were handed out."""

    @abstractmethod
    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The parts that neighbour ``to`` receives this round."""

    @abstractmethod
    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Combine the neighbours' parts (``inbox`` is ordered by sender) into ``node.parameters``, in place."""

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """What `outgoing` hands out in ``round`` at node ``sender`` of its network; by default the parameters.

        Both ends ask: a node sends nothing else, and in a deployment a message that holds anything else, or values out
        of bounds, is refused before `mix` sees it.
        """
        return {"parameters": Declared.like(node.parameters)}

    def objection(self, node: Node, message: Message) -> str | None:
        """What is wrong with a message whose parts are as declared, one by one, but do not go together.

        Asked in a deployment, of messages that have arrived. The end of a sentence that begins with "it"; None if
        nothing is.
        """
        return None

    def early_incoming(self, node: Node, exchange: int, inbox: Sequence[Message]) -> None:
        """Take in the messages of an exchange after which the round goes on, ordered by sender.

        Where averaging is pairwise, these are of a neighbour that asks, in exchange 1; what `outgoing` hands out next
        is the answer to it.
        """

    def shown(self, node: Node, message: Message) -> Tensor | None:
        """float [parameters]: the node's model as the receiver of ``message``, with a memory, knows it from now on.

        For audits; asked after `outgoing` and before `mix`. None where messages show no model.
        """
        return message.parts.get("parameters")

    def averages(self, node: Node) -> Mapping[int, float] | None:
        """Weights, by node, with which `mix` sums the models that nodes show after training, its own among them.

        For audits. None where the mixed model is no such sum, or its weights are not known before all has arrived.
        """
        return None

    def influence(self, node: Node) -> Mapping[int, float] | None:
        """Weights, by node, that the last `mix` really gave to the models of a round, the node's own among them.

        They sum to 1; a node that was heard, and given no weight, has 0. Where coordinates weigh nodes differently, it
        is the mean over all of them. None where the mixer keeps none.
        """
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive between rounds, as named tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""


MIXERS: Registry[Mixer] = Registry("mixers")
