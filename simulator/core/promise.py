"""What a method's noise promises of one node's data, in a form that a site can hold against what it allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Unit = Literal["sample", "group", "node"]


@dataclass(frozen=True)
class Promise:
    """(epsilon, delta) differential privacy of everything that the node sends.

    Attributes:
        unit: in what two neighbouring data sets differ: one training sample, all samples of a group, or all that the
            node has.
        delta: of the promise.
        epsilon: what so many rounds cost; it never falls with their number.
        lasts: after how many rounds the node leaves the run, as nothing is left to spend; None: it does not.
    """

    unit: Unit
    delta: float
    epsilon: Callable[[int], float]
    lasts: int | None = None

    def cost(self, rounds: int) -> float:
        """What is spent after so many rounds of the run, in some of which the node may have been gone."""
        return self.epsilon(rounds if self.lasts is None else min(rounds, self.lasts))
