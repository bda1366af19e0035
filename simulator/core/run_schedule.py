"""How long a run lasts, and what is done between its rounds."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.backend import Order


@dataclass(frozen=True)
class RunSchedule:
    """How many rounds, and how often something is done between them (None: only at the end).

    Attributes:
        in_step: whether a round is over at all nodes before the next one begins, as it must be where nodes may ask for
            the end of the run.
        nodes: how many there are.
        tested: the nodes that are measured on the test set; None: all.
    """

    rounds: int
    evaluate_every: int | None
    checkpoint_every: int | None
    in_step: bool = False
    nodes: int = 0
    tested: frozenset[int] | None = None

    def evaluates(self, round: int) -> bool:
        """Whether the network is measured when ``round`` rounds are finished."""
        return round == self.rounds or round == 0 or bool(self.evaluate_every and round % self.evaluate_every == 0)

    def checkpoints(self, round: int) -> bool:
        """Whether its state is saved then."""
        return round == self.rounds or bool(round and self.checkpoint_every and round % self.checkpoint_every == 0)

    def due(self, round: int) -> Order:
        """What is to be done when ``round`` rounds are finished, in a run that goes on to its planned end."""
        return Order(finalize=round == self.rounds, evaluate=self.evaluates(round), snapshot=self.checkpoints(round))
