"""Nodes that lie: what an attacker trains on, and what it sends in the place of its model."""

from __future__ import annotations

from abc import ABC
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.plan import Plan
from simulator.core.registry import Part, Registry
from simulator.core.samples import NodeData
from simulator.core.training_set import Poison

if TYPE_CHECKING:
    from simulator.core.node import Node

Knowledge = Literal["heard", "omniscient"]


class Conspiracy(NamedTuple):
    """Those who carry out an attack, as it is planned.

    Attributes:
        knowledge: what they know.
        members: their numbers.
        attackers: the numbers of all nodes that lie, in this way or another.
    """

    knowledge: Knowledge
    members: Collection[int]
    attackers: Collection[int]


@dataclass(frozen=True)
class Seen:
    """What an attacker knows when it makes up its messages of a round.

    An omniscient one knows what every honest node sends in this round, and where it began; another one what its own
    neighbours sent it the round before.

    Attributes:
        models: float [parameters] of honest nodes, by id, in order.
        starts: float [parameters], the models with which these began the round, of those that are known.
    """

    models: Mapping[int, Tensor] = field(default_factory=dict)
    starts: Mapping[int, Tensor] = field(default_factory=dict)


class Adversary(Part, ABC):
    """What one attacker does; override `craft`, or `poison`, or both.

    An attacker is a node that trains, mixes and runs the experiment's methods as all others do, and sends something
    else. From the round in which the attack begins, `poison` changes what it trains on, and `craft` is asked once a
    receiver, after all methods' ``outgoing``, so that every neighbour may be told something else.

    One instance serves one attacker. State lives in ``self`` and survives `state_dict` and `load_state_dict`;
    randomness comes from ``node.rng(purpose)`` only.

    Attributes:
        neutral: settings under which the node does not lie; None where there are none.
        needs: what the experiment must offer, by names in `simulator.core.traits.NEEDS`.
        asks_starts: whether it reads `Seen.starts`, which only omniscient attackers know.
        asks_fiedler: whether it reads `Attackers.fiedler`, which takes long in large networks.
    """

    neutral: ClassVar[Mapping[str, Any] | None] = None
    needs: ClassVar[frozenset[str]] = frozenset()
    asks_starts: ClassVar[bool] = False
    asks_fiedler: ClassVar[bool] = False

    @classmethod
    def check(cls, config: Any, plan: Plan, conspiracy: Conspiracy) -> Iterable[Problem]:
        """Problems of ``config`` within ``plan``; ``where`` is counted from the attack's own block."""
        return ()

    @classmethod
    def check_samples(cls, config: Any, data: NodeData) -> Iterable[Problem]:
        """Problems of ``config`` with samples such as ``data``; counted as in `check`."""
        return ()

    @property
    def is_idle(self) -> bool:
        """Whether its settings are the neutral ones."""
        return self.neutral is not None and all(
            getattr(self.config, key) == value for key, value in self.neutral.items()
        )

    def poison(self, node: Node) -> Poison | None:
        """What becomes of private samples before ``node`` trains on them, see `TrainingSet.poison`; None: nothing."""
        return None

    def watch(self, node: Node, seen: Seen) -> None:
        """Once a round, before `craft`: take note of what is known now."""

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor | None:
        """float [parameters]: what ``to`` gets in the place of ``own``, the node's model; None: no message at all.

        What is returned may be ``own`` itself, where too little is known to lie. Nothing given may be written to.
        """
        return own

    def success(self, node: Node) -> Mapping[str, float]:
        """What the attack has achieved at an honest ``node`` that is being evaluated, by name."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive between rounds, as named tensors."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""


ADVERSARIES: Registry[Adversary] = Registry("adversaries")
