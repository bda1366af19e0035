"""Quick accounts of Gaussian noise on Poisson samples: Renyi divergences, by Opacus (Mironov et al., arXiv:1908.10530).

They add up over steps, and lead to an upper bound some ten percent above the truth.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from simulator.privacy.loss_distributions import Steps

Floats = NDArray[np.float64]
LOCK = Lock()  # warnings are switched for the whole process


def epsilon_of_renyi(done: Iterable[Steps], delta: float) -> float:
    """What ``done`` costs together, at ``delta``. All noise multipliers are above 0."""
    among = orders()
    spent: Floats = np.sum([renyi(sigma, rate, among) * times for sigma, rate, times in done], axis=0)
    return from_renyi(spent, among, delta)[0]


def orders() -> tuple[float, ...]:
    """Those that Opacus looks at."""
    from opacus.accountants import RDPAccountant  # takes seconds to import, as all of Opacus

    return tuple(RDPAccountant.DEFAULT_ALPHAS)


@lru_cache(maxsize=4096)
def renyi(sigma: float, rate: float, orders: tuple[float, ...]) -> Floats:
    """float64 [orders]: Renyi divergence of one step."""
    from opacus.accountants.analysis.rdp import compute_rdp

    return np.asarray(compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=orders))


def from_renyi(divergences: Floats, orders: Sequence[float], delta: float) -> tuple[float, float]:
    """Epsilon, and the order that shows it."""
    from opacus.accountants.analysis.rdp import get_privacy_spent

    with edges_allowed():
        epsilon, best = get_privacy_spent(orders=orders, rdp=divergences, delta=delta)
    return max(0.0, float(epsilon)), float(best)


@contextmanager
def edges_allowed() -> Iterator[None]:
    """Without Opacus' warning that the best order is the first or last one: the bound holds, it is only loose.

    Nor that of the logarithm of 0, which its convolution takes at a sample rate of 1.
    """
    with LOCK, warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
