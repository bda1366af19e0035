"""What training with noise costs in privacy, and what noise a cost takes: a thin layer over Opacus' accountants.

``rdp`` composes Renyi divergences (Mironov, Talwar & Zhang 2019, arXiv:1908.10530) in no time, to an upper bound some
ten percent above the truth; ``prv`` convolves privacy losses (Gopi, Lee & Wutschitz 2021, arXiv:2106.02848), tight to
0.01, and takes up to seconds a question. Noise for an epsilon is searched for with the accountant that reports it.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Accountant = Literal["rdp", "prv"]
TOLERANCE = 1e-3  # relative: how far below a target epsilon the noise found for it may cost
MOST_NOISE = 1e6  # more is not searched for
NEAR = 3  # orders to either side of the best one, among which noise is searched for
LOCK = Lock()  # warnings are switched for the whole process
LARGEST = 100.0  # epsilon: beyond it nothing is promised, and the grid of the convolution may not fit into memory


@dataclass(frozen=True)
class GaussianSteps:
    """The Gaussian mechanism on Poisson samples, many times over.

    Two data sets are neighbours if one has a member more; it moves the sum that noise is added to by the sensitivity.

    Attributes:
        noise_multiplier: standard deviation of the noise over the sensitivity.
        sample_rate: probability that a member is in a sample.
        delta: of the promise (epsilon, delta).
        accountant: which of Opacus'.
        released: the noise multiplier of one release about all members, before the first step; None: no such.
    """

    noise_multiplier: float
    sample_rate: float
    delta: float
    accountant: Accountant
    released: float | None = None

    def epsilon(self, steps: int) -> float:
        """What ``steps`` steps cost, and what was released before them."""
        return _epsilon(self, steps)

    def affordable(self, epsilon: float, at_most: int) -> int:
        """The most steps, up to ``at_most``, that cost no more than ``epsilon``."""
        return bisect_right(range(at_most + 1), epsilon, key=self.epsilon) - 1


@lru_cache(maxsize=4096)
def _epsilon(mechanism: GaussianSteps, steps: int) -> float:
    before = [] if mechanism.released is None else [(mechanism.released, 1.0, 1)]
    done = [*before, *([(mechanism.noise_multiplier, mechanism.sample_rate, steps)] if steps else [])]
    if not done:
        return 0.0
    if any(sigma == 0 for sigma, _, _ in done):
        return inf
    if mechanism.accountant == "rdp":
        orders = tuple(_orders())
        divergences = sum(_renyi(sigma, rate, orders) * times for sigma, rate, times in done)
        return _from_renyi(np.asarray(divergences), orders, mechanism.delta)[0]
    from opacus.accountants import PRVAccountant  # takes seconds to import, as all of Opacus

    accountant = PRVAccountant()
    accountant.history = done
    with _edges_allowed():
        return float(accountant.get_epsilon(mechanism.delta))


def _orders() -> Sequence[float]:
    """Those that Opacus looks at."""
    from opacus.accountants import RDPAccountant

    orders: Sequence[float] = RDPAccountant.DEFAULT_ALPHAS
    return orders


@lru_cache(maxsize=4096)
def _renyi(sigma: float, rate: float, orders: tuple[float, ...]) -> NDArray[np.float64]:
    """float [orders]: Renyi divergence of one step."""
    from opacus.accountants.analysis.rdp import compute_rdp

    return np.asarray(compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=orders))


def _from_renyi(divergences: NDArray[np.float64], orders: Sequence[float], delta: float) -> tuple[float, float]:
    """Epsilon, and the order that shows it."""
    from opacus.accountants.analysis.rdp import get_privacy_spent

    with _edges_allowed():
        epsilon, best = get_privacy_spent(orders=orders, rdp=divergences, delta=delta)
    return max(0.0, float(epsilon)), float(best)


@lru_cache(maxsize=4096)
def noise_multiplier_for(
    epsilon: float, delta: float, sample_rate: float, steps: int, accountant: Accountant, released: float | None = None
) -> float:
    """The noise with which ``steps`` steps cost ``epsilon`` or less, by no more than a share of `TOLERANCE`.

    So do they together with what was ``released`` before them, see `GaussianSteps`.

    Raises:
        ValueError: no noise is enough: this accountant cannot show so small an epsilon.
    """
    sigma = _by_renyi(epsilon, delta, sample_rate, steps, released)

    def cost(sigma: float) -> float:
        return GaussianSteps(sigma, sample_rate, delta, accountant, released).epsilon(steps)

    if accountant == "prv":  # tighter, so a little less noise will do
        return _noise(cost, epsilon, sigma or 2.0, 1.05 if sigma else 2.0)
    if sigma is None:
        raise _too_low(epsilon)
    return sigma


def _by_renyi(epsilon: float, delta: float, rate: float, steps: int, released: float | None) -> float | None:
    """The noise by ``rdp``; None if none is enough.

    Each order by itself gives a bound, and few of them a quick one. So noise is searched for by whole orders first,
    which Opacus sums up in no time, then by those around the best one of all, until that is no longer among others.
    """
    orders = tuple(_orders())

    def spent(sigma: float, among: tuple[float, ...]) -> NDArray[np.float64]:
        before = 0.0 if released is None else _renyi(released, 1.0, among)
        return _renyi(sigma, rate, among) * steps + before

    among, guess = tuple(order for order in orders if order == int(order)), 1.0
    while True:

        def cost(sigma: float, among: tuple[float, ...] = among) -> float:
            return _from_renyi(spent(sigma, among), among, delta)[0]

        try:
            guess = _noise(cost, epsilon, guess, 2.0)
        except ValueError:
            return None  # at so small an epsilon the largest order is the best one, and a whole one
        cost_of_it, best = _from_renyi(spent(guess, orders), orders, delta)
        if _meets(cost_of_it, epsilon):
            return guess
        place = orders.index(best)
        among = orders[max(0, place - NEAR) : place + NEAR + 1]


def _meets(spent: float, epsilon: float) -> bool:
    return (1 - TOLERANCE) * epsilon <= spent <= epsilon


def _noise(cost: Callable[[float], float], epsilon: float, guess: float, factor: float) -> float:
    """Where ``cost``, which falls with noise, meets ``epsilon``; looked for from ``guess`` on, in steps of ``factor``.

    Raises:
        ValueError: nowhere.
    """

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


@contextmanager
def _edges_allowed() -> Iterator[None]:
    """Without Opacus' warning that the best order is the first or last one: the bound holds, it is only loose.

    Nor that of the logarithm of 0, which its convolution takes at a sample rate of 1.
    """
    with LOCK, warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
