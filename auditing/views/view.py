"""Views: what attackers compute, who ask whether a sample was in a victim's training set, from the models they hold.

They never need more than sums: a model that they work out is a weighted mean of models that the run has kept, and what
they judge a sample by is a weighted sum of a signal's values in such models. So the same view can be taken of any
network that kept the same models, such as a replica.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.views.record import Record, Stored
from simulator.core.errors import InputError, Problem
from topologies import Topology

Floats = NDArray[np.float64]
Model = tuple[tuple[Stored, float], ...]  # (model, weight): the weighted sum, over the sum of the weights
Terms = tuple[tuple[int, float], ...]  # (row of the models, weight): the weighted sum of a signal


class Unseen(InputError):
    """There is nothing to see from there in this run."""

    def __init__(self, view: str, what: str, advice: str) -> None:
        super().__init__(Problem(f"--view {view}", what, advice))
        self.view = view


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

    def signal(self, signals: Floats) -> Floats:
        """float64 [..., N], from ``signals`` in each of the models, float64 [models, ..., N]."""
        (first, weight), *others = self.terms
        found: Floats = weight * signals[first]
        for row, weight in others:
            found = found + weight * signals[row]
        return found


class VictimPair(NamedTuple):
    """Candidates of node ``victim`` are judged by ``observation``; ``observer`` is None where that is no one node."""

    victim: int
    observer: int | None
    observation: SignalSum


@dataclass(frozen=True)
class View:
    """Attackers who stand alike.

    Attributes:
        name: of what they hold.
        holder: who they are and what they know.
        pairs: whom they attack, and by what.
        distance: of observers who hold nothing but their own final model, the hops from the victim to them.
    """

    name: str
    holder: str
    pairs: tuple[VictimPair, ...]
    distance: int | None = None


@dataclass
class AttackScene:
    """The network as attackers find it, and the models they make use of, by the row that each has."""

    record: Record
    topology: Topology
    rows: dict[Model, int] = field(default_factory=dict)

    def row(self, *model: tuple[Stored, float]) -> int:
        """The row of a weighted mean of kept models."""
        return self.rows.setdefault(model, len(self.rows))

    def held(self, stored: Stored) -> SignalSum:
        """The signal in a kept model."""
        return SignalSum(((self.row((stored, 1.0)), 1.0),))


@dataclass(frozen=True)
class Observed:
    """All that the attackers of some views need.

    Attributes:
        record: what the network has kept.
        models: of each row.
        views: those asked for.
        by_round: views that can be told apart by round, by name and round.
    """

    record: Record
    models: tuple[Model, ...]
    views: tuple[View, ...]
    by_round: Mapping[str, Mapping[int, View]]

    def model(self, row: int) -> Tensor:
        """float64 [parameters]."""
        terms = self.models[row]
        total = torch.stack([weight * self.record.load(stored) for stored, weight in terms]).sum(0)
        return total / sum(weight for _, weight in terms)

    @property
    def names(self) -> list[str]:
        """Of each row, what was kept and with which weight."""
        return [" ".join(f"{weight:+.6g} {_named(stored)}" for stored, weight in model) for model in self.models]

    def victims(self) -> Sequence[frozenset[int] | None]:
        """Of each row, the nodes whose candidates it is asked about; None: those of all nodes."""
        asked: list[set[int]] = [set() for _ in self.models]
        for view in (*self.views, *(view for views in self.by_round.values() for view in views.values())):
            for victim, _, observation in view.pairs:
                for row, _ in observation.terms:
                    asked[row].add(victim)
        return [None if len(victims) == self.record.nodes else frozenset(victims) for victims in asked]


def _named(stored: Stored) -> str:
    place = f" in round {stored.round}" if stored.round else ""
    return f"{stored.kind} of {stored.node}{'' if stored.receiver is None else f' to {stored.receiver}'}{place}"
