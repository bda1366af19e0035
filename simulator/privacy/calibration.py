"""How much noise a promise takes: searched for with the accountant that reports what was spent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import exp, log

import numpy as np

from simulator.privacy.accounting import GaussianSteps, without_sampling
from simulator.privacy.loss_distributions import epsilon_of_losses
from simulator.privacy.renyi import Floats, from_renyi, orders, renyi

TOLERANCE = 1e-3  # relative: how far below a target epsilon the noise found for it may cost
MOST_NOISE = 1e6  # more is not searched for
NEAR = 3  # orders to either side of the best one, among which noise is searched for


@lru_cache(maxsize=4096)
def noise_multiplier_for(epsilon: float, mechanism: GaussianSteps, steps: int) -> float:
    """The noise with which ``steps`` steps cost ``epsilon`` or less, by no more than a share of `TOLERANCE`.

    So do they together with what was released before them. Of ``mechanism`` all but the noise multiplier counts.

    Raises:
        ValueError: no noise is enough: this accountant cannot show so small an epsilon.
    """
    quick = _by_renyi(epsilon, mechanism, steps)
    if mechanism.accountant != "rdp":  # tighter, so a little less noise will do
        return _noise(_tight_cost(mechanism, steps), epsilon, quick or 2.0, 1.05 if quick else 2.0)
    if quick is None:
        raise _too_low(epsilon)
    return quick


def _tight_cost(mechanism: GaussianSteps, steps: int) -> Callable[[float], float]:
    """What ``steps`` steps cost with a noise multiplier, by ``pld`` or ``prv``."""

    def cost(sigma: float) -> float:
        tried = replace(mechanism, noise_multiplier=sigma)
        if tried.accountant == "prv":
            return tried.epsilon(steps)
        exact = without_sampling(tried.composed(steps), tried.delta)
        return epsilon_of_losses(tried.composed(steps), tried.delta) if exact is None else exact

    return cost


def _by_renyi(epsilon: float, mechanism: GaussianSteps, steps: int) -> float | None:
    """The noise by ``rdp``; None if none is enough.

    Each order by itself gives a bound, and few of them a quick one. So noise is searched for by whole orders first,
    which Opacus sums up in no time, then by those around the best one of all, until that is no longer among others.
    """
    delta, all_orders = mechanism.delta, orders()

    def spent(sigma: float, among: tuple[float, ...]) -> Floats:
        done = replace(mechanism, noise_multiplier=sigma).composed(steps)
        found: Floats = np.sum([renyi(each, rate, among) * times for each, rate, times in done], axis=0)
        return found

    among, guess = tuple(order for order in all_orders if order == int(order)), 1.0
    while True:

        def cost(sigma: float, among: tuple[float, ...] = among) -> float:
            return from_renyi(spent(sigma, among), among, delta)[0]

        try:
            guess = _noise(cost, epsilon, guess, 2.0)
        except ValueError:
            return None  # at so small an epsilon the largest order is the best one, and a whole one
        cost_of_it, best = from_renyi(spent(guess, all_orders), all_orders, delta)
        if _meets(cost_of_it, epsilon):
            return guess
        place = all_orders.index(best)
        among = all_orders[max(0, place - NEAR) : place + NEAR + 1]


def _meets(spent: float, epsilon: float) -> bool:
    return (1 - TOLERANCE) * epsilon <= spent <= epsilon


def _noise(cost: Callable[[float], float], epsilon: float, guess: float, factor: float) -> float:
    """Where ``cost``, which falls with noise, meets ``epsilon``; looked for from ``guess`` on, in steps of ``factor``.

    Raises:
        ValueError: nowhere.
    """
    from scipy.optimize import brentq  # slow to load, and most runs promise nothing

    @lru_cache
    def excess(exponent: float) -> float:
        """0 where the target is met, so that the search ends there."""
        spent = cost(exp(exponent))
        return 0.0 if _meets(spent, epsilon) else log(max(spent, 1e-12) / epsilon) + TOLERANCE / 2

    low = high = log(guess)
    while excess(high) > 0:
        low, high = high, high + log(factor)
        if high > log(MOST_NOISE):
            raise _too_low(epsilon)
    while excess(low) < 0:
        low, high = low - log(factor), low
    found = float(brentq(excess, low, high, xtol=1e-9, rtol=1e-12))
    while excess(found) > 0:  # where rounding lets the cost jump over the target: on the side that keeps it
        found += 1e-8
    return exp(found)


def _too_low(epsilon: float) -> ValueError:
    return ValueError(f"an epsilon of {epsilon:g} is too low to be shown")
