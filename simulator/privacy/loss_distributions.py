"""Tight accounts of Gaussian noise on Poisson samples: privacy losses convolved by Google's dp-accounting.

The loss of a step, the log of how much likelier its outcome is with a member than without, is put on a grid by
connecting dots (Doroshenko et al. 2022, arXiv:2207.04380), so that what is found is an upper bound; both directions of
add-or-remove neighbours are composed, and the worse one counts. Where every step looks at everybody no grid is needed:
`simulator.privacy.gaussian_dp` is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from math import expm1, sqrt
from typing import Any

import numpy as np

Steps = tuple[float, float, int]  # noise multiplier, sample rate, how many of them

FINENESS = 12  # of the grid, in parts of a step's standard deviation: epsilon is then above by less than a thousandth
COARSEST = 0.01  # of epsilon: the widest grid, where a step's losses are far apart
MOST_EXPONENT = 50.0  # exp of more is not needed to know that a grid is the widest
SMALLEST_DELTA = 1e-12  # below it float64 does not resolve what is convolved
EPSILONS = np.linspace(0.0, 20.0, 2001)  # at which trade-off curves have tangents
TAIL = 1e-5  # of delta: what may be cut off a distribution, and counts as lost


def epsilon_of_losses(done: Sequence[Steps], delta: float) -> float:
    """What ``done`` costs together, at a ``delta`` of `SMALLEST_DELTA` or more; all noise multipliers are above 0.

    The last of them is what there is most of: the grid is as fine as that needs.
    """
    return float(_composed(done, TAIL * delta).get_epsilon_for_delta(delta))


def trade_off(done: Sequence[Steps]) -> Callable[[float], float]:
    """How often a member is missed at least, by whoever takes others for members at a given rate.

    As `epsilon_of_losses` bounds delta at every epsilon from above, this bounds trade-off curves from below, those of
    both directions: no test has fewer misses than max(1 - delta - e^epsilon rate, e^-epsilon (1 - delta - rate)), for
    any epsilon (Dong, Roth & Su 2022, arXiv:1905.02383, proposition 2.12).
    """
    deltas = np.asarray(_composed(done, SMALLEST_DELTA).get_delta_for_epsilon(EPSILONS.tolist()))

    def misses(rate: float) -> float:
        lines = np.maximum(1 - deltas - np.exp(EPSILONS) * rate, np.exp(-EPSILONS) * (1 - deltas - rate))
        return max(0.0, float(lines.max()))

    return misses


def _composed(done: Sequence[Steps], tail: float) -> Any:
    interval = _interval(*done[-1][:2])
    composed = [_one_step(sigma, rate, interval).self_compose(times, tail) for sigma, rate, times in done]
    return reduce(lambda one, other: one.compose(other, tail), composed)


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
