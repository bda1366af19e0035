"""Positions: what attackers make of the models they hold, who ask whether a sample was in a victim's training set.

They never need more than sums: a model that they work out is a weighted mean of models that the run has kept, and what
they judge a sample by is a weighted sum of a signal's values in such models, or several such sums, judged one by one.
So the same position can be taken in any network that kept the same models, such as a replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditing.views.record import Record, Stored
from topologies import Topology

Floats = NDArray[np.float64]
Model = tuple[tuple[Stored, float], ...]  # (model, weight): the weighted sum, over the sum of the weights
Terms = tuple[tuple[int, float], ...]  # (row of the models, weight): the weighted sum of a signal


@dataclass(frozen=True)
class SignalSum:
    """What an attacker judges samples by: the sum over ``terms`` (row of the models, weight) of weight times signal."""

    terms: Terms

    @classmethod
    def mean(cls, sums: Sequence[Terms]) -> SignalSum:
        """The mean of several such sums."""
        total: dict[int, float] = {}
        for row, weight in chain.from_iterable(sums):
            total[row] = total.get(row, 0.0) + weight / len(sums)
        return cls(tuple(total.items()))

    @property
    def parts(self) -> tuple[SignalSum, ...]:
        """What is judged by itself: all of it."""
        return (self,)

    def signal(self, signals: Floats) -> Floats:
        """The sum for each sample, float64 [..., N], of ``signals`` in each of the models, float64 [models, ..., N]."""
        (first, weight), *others = self.terms
        found: Floats = weight * signals[first]
        for row, weight in others:
            found = found + weight * signals[row]
        return found


@dataclass(frozen=True)
class Trajectory:
    """Several things that an attacker judges samples by, one after the other: how sure it is adds up over all of them.

    Of ratios of likelihoods, the sum is that of all ``parts``, if these err independently.
    """

    parts: tuple[SignalSum, ...]

    @property
    def terms(self) -> Terms:
        """Those of all parts."""
        return tuple(chain.from_iterable(part.terms for part in self.parts))


Observation = SignalSum | Trajectory


class VictimPair(NamedTuple):
    """Candidates of node ``victim`` are judged by ``observation``; ``observer`` is None where that is no one node."""

    victim: int
    observer: int | None
    observation: Observation


@dataclass(frozen=True)
class Position:
    """Attackers who stand alike.

    Attributes:
        name: of what they hold, in results and reports.
        holder: who they are and what they know, for the report.
        pairs: whom they attack, and by what.
        distance: of honest observers who hold nothing but their own final model, the hops from the victim to them.
    """

    name: str
    holder: str
    pairs: tuple[VictimPair, ...]
    distance: int | None = None

    def told_apart(self, attackers: Set[int]) -> Iterator[Position]:
        """The position of honest observers, who are curious, and that of ``attackers`` among them, who are active."""
        active = tuple(pair for pair in self.pairs if pair.observer in attackers)
        if passive := tuple(pair for pair in self.pairs if pair.observer not in attackers):
            yield replace(self, pairs=passive)
        if active:
            yield replace(self, pairs=active).of_attackers()

    def of_attackers(self) -> Position:
        """The same position where all who hold it lie: with what they send they steer what they see."""
        holder = f"{self.holder} (of attackers, who steer what they see by the models that they send)"
        return Position(f"{self.name}, held by attackers", holder, self.pairs)


@dataclass
class AttackScene:
    """The network as attackers find it, and the models they make use of, by the row that each has."""

    record: Record
    topology: Topology
    rows: dict[Model, int] = field(default_factory=dict)

    @property
    def victims(self) -> list[int]:
        """The nodes about whose samples it may be asked: all but those that lied."""
        return [node for node in range(self.record.nodes) if node not in self.record.attackers]

    def row(self, *model: tuple[Stored, float]) -> int:
        """The row of a weighted mean of kept models."""
        return self.rows.setdefault(model, len(self.rows))

    def held(self, stored: Stored) -> SignalSum:
        """The signal in a kept model."""
        return SignalSum(((self.row((stored, 1.0)), 1.0),))
