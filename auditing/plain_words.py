"""What measures of leakage mean, for readers who have never met them."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

from simulator.results.formatting import significant

BEYOND = 20.0  # an epsilon from which on the odds mean nothing to anybody


def picks(auc: float) -> str:
    """An AUC as what it is: how often the attacker is right about a pair, of which one is a member."""
    return f"in {100 * auc:.0f} of 100 cases, where guessing is right in 50"


def is_guessing(estimate: Mapping[str, float]) -> bool:
    """Whether the interval of an AUC reaches down to .5."""
    return estimate["low"] <= 0.5


def odds(epsilon: float) -> str:
    """By how much an epsilon lets anybody's belief change: the odds of a guess grow by e^epsilon at most."""
    if epsilon > BEYOND:
        return "which is as good as no limit"
    return f"so that no odds of theirs on a guess grow more than {significant(exp(epsilon), 3)}-fold (1 is nothing)"
