"""Tight accounts of Gaussian noise on Poisson samples: privacy losses convolved by Google's dp-accounting.

The loss of a step, the log of how much likelier its outcome is with a member than without, is put on a grid by
connecting dots (Doroshenko et al. 2022, arXiv:2207.04380), so that what is found is an upper bound; both directions of
add-or-remove neighbours are composed, and the worse one counts. Where every step looks at everybody no grid is needed:
`simulator.privacy.gaussian_dp` is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from math import expm1, sqrt
from typing import Any

Steps = tuple[float, float, int]  # noise multiplier, sample rate, how many of them

FINENESS = 12  # of the grid, in parts of a step's standard deviation: epsilon is then above by less than a thousandth
COARSEST = 0.01  # of epsilon: the widest grid, where a step's losses are far apart
MOST_EXPONENT = 50.0  # exp of more is not needed to know that a grid is the widest
SMALLEST_DELTA = 1e-12  # below it float64 does not resolve what is convolved
TAIL = 1e-5  # of delta: what may be cut off a distribution, and counts as lost


def epsilon_of_losses(done: Sequence[Steps], delta: float) -> float:
    """What ``done`` costs together, at a ``delta`` of `SMALLEST_DELTA` or more; all noise multipliers are above 0.

    The last of them is what there is most of: the grid is as fine as that needs.
    """
    interval = _interval(*done[-1][:2])
    composed = [_one_step(sigma, rate, interval).self_compose(times, TAIL * delta) for sigma, rate, times in done]
    return float(reduce(lambda one, other: one.compose(other, TAIL * delta), composed).get_epsilon_for_delta(delta))


def _interval(sigma: float, rate: float) -> float:
    """Between the grid's points: exp of a step's loss has the variance q^2 (exp(1 / sigma^2) - 1)."""
    spread = rate * sqrt(expm1(min(sigma**-2, MOST_EXPONENT)))
    return min(spread / FINENESS, COARSEST)


@lru_cache(maxsize=256)
def _one_step(sigma: float, rate: float, interval: float) -> Any:
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism  # takes a second to import

    return from_gaussian_mechanism(
        sigma, sampling_prob=rate, value_discretization_interval=interval, use_connect_dots=True
    )
