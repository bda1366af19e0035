"""The values of updates as observers have them: exact where they can be computed, else guessed by a neighbour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from auditing.reconstruction.knowledge import Knowledge
from auditing.views.record import Record, Stored
from simulator.core.errors import wrong

How = Literal["exact", "blurred", "guessed"]


@dataclass(frozen=True)
class ObservedUpdate:
    """What an observer takes a node's local training to have added in a round.

    Attributes:
        victim: whose training.
        round: counted from 1.
        how: "exact": the node's message without the model that it began the round with, which is known to whoever can
            solve for it: in round 1 to all, later to those who know all that the node has mixed. "guessed": a neighbour
            takes its own model at the beginning of the round for the node's. "blurred": it makes the best linear
            estimate of all that it has heard, which needs a record of all rounds.
        observer: the neighbour that estimates or guesses; None where it is exact.
        start: float64 [parameters], the model at the beginning, as the observer has it.
        change: float64 [parameters].
        rounding: float64 [parameters], how far ``change`` may be from the truth as models were rounded when they were
            sent and kept.
    """

    victim: int
    round: int
    how: How
    observer: int | None
    start: Tensor
    change: Tensor
    rounding: Tensor


@dataclass(frozen=True)
class Updates:
    """The updates in a record.

    Attributes:
        record: of the run.
        epsilon: of the type that its models were computed in.
        knowledge: of consecutive rounds, where they were recorded.
    """

    record: Record
    epsilon: float
    knowledge: Knowledge | None = None

    @classmethod
    def of(cls, record: Record, dtype: torch.dtype, knowledge: Knowledge | None = None) -> Updates:
        """Those of models with parameters of ``dtype``."""
        return cls(record, float(torch.finfo(dtype).eps), knowledge)

    def exact(self, victim: int, round: int) -> ObservedUpdate | None:
        """The update itself; None where the node sent nothing, or no model that it has just trained."""
        return self._update(victim, round, "exact", None)

    def guessed(self, victim: int, round: int, observer: int) -> ObservedUpdate | None:
        """What ``observer``, to whom the node sent, takes for it; None as for `exact`."""
        return self._update(victim, round, "guessed", observer)

    def blurred(self, victim: int, round: int, observer: int) -> ObservedUpdate | None:
        """The best linear estimate that ``observer`` can make; None as for `exact`, or if not all was recorded."""
        seen = self._update(victim, round, "blurred", observer)
        if seen is None or self.knowledge is None or round > self.knowledge.rounds:
            return None
        change, size = self.knowledge.estimated(observer, victim, round)
        sent = seen.start + seen.change
        return replace(seen, start=sent - change, change=change, rounding=max(size, 1.0) * seen.rounding)

    def _update(self, victim: int, round: int, how: How, observer: int | None) -> ObservedUpdate | None:
        receivers = self.record.receivers(round, victim)
        if not receivers or not self.record.shows_trained:
            return None
        to = receivers[0] if observer is None else observer
        message = self.record.message(round, victim, to) if to in receivers else None
        if message is None:
            return None
        start = self._model(Stored("start", victim if observer is None else observer, round))
        sent = self._model(message)
        rounding = self.epsilon / 2 * (start.abs() + sent.abs())
        return ObservedUpdate(victim, round, how, observer, start, sent - start, rounding)

    def _model(self, stored: Stored) -> Tensor:
        model = self.record.load(stored)
        if not model.isfinite().all():
            what = f"the model in the {stored.kind} of node {stored.node} in round {stored.round} is not finite."
            raise wrong("rounds", what, "Choose rounds before the run diverged, for example rounds=[1].")
        return model
