"""What an honest node counts where others lie: messages it refuses, and the weight that attackers really get."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from simulator.core.declaration import Declared, excess, misfit
from simulator.core.message import Message

if TYPE_CHECKING:
    from simulator.core.node import Node

WHOLE = 1 - 1e-9  # of its weight that a neighbour keeps at least where nothing was taken from it


@dataclass
class Tally:
    """What mixing made of neighbours of one kind, summed over rounds.

    Attributes:
        weight: what they got in all.
        largest: what they got in all in the round in which it was most.
        mixed: messages taken in.
        dropped: of these, those without any weight.
        reduced: of these, those with less than the row of W gives them, and more than none.
    """

    weight: float = 0.0
    largest: float = 0.0
    mixed: float = 0.0
    dropped: float = 0.0
    reduced: float = 0.0

    def add(self, given: Mapping[int, float], row: Mapping[int, float], kind: Collection[int]) -> None:
        """Count a round in which mixing gave these weights, where ``row`` of W would have given others."""
        weight = sum(given.get(j, 0.0) for j in sorted(kind))
        self.weight, self.largest = self.weight + weight, max(self.largest, weight)
        self.mixed += len(kind)
        self.dropped += sum(given.get(j, 0.0) == 0 for j in kind)
        self.reduced += sum(0 < given.get(j, 0.0) < WHOLE * row[j] for j in kind)


class UnderAttack:
    """The counts of an honest node since its last evaluation.

    Attributes:
        moved: float [parameters], by how much mixing moved the node in the last round; None before the first.
    """

    def __init__(self) -> None:
        self.moved: Tensor | None = None
        self._reset()

    def _reset(self) -> None:
        self._rounds, self._refused = 0.0, 0.0
        self._attackers, self._honest = Tally(), Tally()

    def refused(self, messages: int) -> None:
        """Count messages that it has refused."""
        self._refused += messages

    def mixed(self, node: Node, before: Tensor, attackers: Collection[int]) -> None:
        """Count a round of ``node``, which has just mixed; ``before`` it held float [parameters]."""
        self.moved = node.parameters - before
        self._rounds += 1
        if given := node.mixer.influence(node):
            others = node.weights.keys() - {node.id}
            self._attackers.add(given, node.weights, others & set(attackers))
            self._honest.add(given, node.weights, others - set(attackers))

    def measure(self) -> dict[str, float]:
        """Since the last call, by name: weights as the mean over rounds, what was dropped as a share of messages."""
        found = {"attack/refused": self._refused}
        if self._rounds:
            found["attack/weight"] = self._attackers.weight / self._rounds
            found["attack/largest_weight"] = self._attackers.largest
        for name, tally in (("attack", self._attackers), ("honest", self._honest)):
            if tally.mixed:
                found[f"{name}/dropped"] = tally.dropped / tally.mixed
                found[f"{name}/reduced"] = tally.reduced / tally.mixed
        self._reset()
        return found

    def state_dict(self) -> dict[str, Tensor]:
        """The counts, as one tensor."""
        counts = (self._rounds, self._refused, *astuple(self._attackers), *astuple(self._honest))
        return {"counts": torch.tensor(counts, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self._rounds, self._refused, *counts = state["counts"].tolist()
        half = len(counts) // 2
        self._attackers, self._honest = Tally(*counts[:half]), Tally(*counts[half:])


def is_sound(message: Message, declared: Mapping[str, Declared]) -> bool:
    """Whether ``message`` is as declared and holds finite values, so that a deployment would let it in."""
    return misfit(message.parts, declared) is None and excess(message.parts, declared) is None
