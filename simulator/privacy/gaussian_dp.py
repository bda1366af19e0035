"""Gaussian differential privacy (Dong, Roth & Su 2022, arXiv:1905.02383): mu, and the (epsilon, delta) it amounts to.

A mechanism is mu-GDP if telling two neighbouring inputs apart by its output is no easier than telling N(0, 1) from
N(mu, 1). Gaussian noise of standard deviation sigma on something of sensitivity Delta is exactly Delta / sigma; k of
them together are sqrt(k) times that, whichever depends on the outputs before it.
"""

from __future__ import annotations

from math import exp, inf

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def delta_of(mu: float, epsilon: float) -> float:
    """The smallest delta at ``epsilon`` >= 0: Phi(-e/mu + mu/2) - exp(e) Phi(-e/mu - mu/2) (there, corollary 2.13)."""
    from scipy.special import log_ndtr  # here and below, for SciPy is slow to load, and most runs promise nothing

    if mu == 0:
        return 0.0
    near, far = (float(log_ndtr(-epsilon / mu + side * mu / 2)) for side in (1, -1))
    return max(0.0, exp(near) - exp(epsilon + far))


def epsilon_of(mu: float, delta: float) -> float:
    """The smallest epsilon at ``delta`` in (0, 1); 0 where delta alone covers it, infinite for an infinite mu."""
    if not np.isfinite(mu) or delta_of(mu, 0.0) <= delta:
        return inf if not np.isfinite(mu) else 0.0
    from scipy.optimize import brentq

    high = 1.0
    while delta_of(mu, high) > delta:
        high *= 2
    return float(brentq(lambda epsilon: delta_of(mu, epsilon) - delta, 0.0, high, xtol=1e-12, rtol=1e-12))


def epsilons_of(mu2: Floats, delta: float) -> Floats:
    """`epsilon_of` the square root of every entry; NaN stays NaN."""
    known = {value: epsilon_of(float(np.sqrt(value)), delta) for value in np.unique(mu2[~np.isnan(mu2)]).tolist()}
    return np.array([known.get(value, np.nan) for value in mu2.ravel().tolist()]).reshape(mu2.shape)
