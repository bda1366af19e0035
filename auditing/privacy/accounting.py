"""What training with noise costs in privacy: a thin layer over Opacus' accountants.

``rdp`` composes Renyi divergences (Mironov, Talwar & Zhang 2019, arXiv:1908.10530) in no time, to an upper bound some
ten percent above the truth; ``prv`` convolves privacy losses (Gopi, Lee & Wutschitz 2021, arXiv:2106.02848), tight to
0.01, and takes up to seconds a question.
"""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Accountant = Literal["rdp", "prv"]
ORDERS = [1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, *range(4, 64)]  # to search for noise at: fractions take Opacus long
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
    """

    noise_multiplier: float
    sample_rate: float
    delta: float
    accountant: Accountant

    def epsilon(self, steps: int) -> float:
        """What ``steps`` steps cost."""
        return _epsilon(self, steps)

    def affordable(self, epsilon: float, at_most: int) -> int:
        """The most steps, up to ``at_most``, that cost no more than ``epsilon``."""
        return bisect_right(range(at_most + 1), epsilon, key=self.epsilon) - 1


@lru_cache(maxsize=4096)
def _epsilon(mechanism: GaussianSteps, steps: int) -> float:
    sigma, rate = mechanism.noise_multiplier, mechanism.sample_rate
    if steps == 0:
        return 0.0
    if sigma == 0:
        return inf
    if mechanism.accountant == "rdp":
        return _from_renyi(_renyi(sigma, rate) * steps, mechanism.delta)
    from opacus.accountants import PRVAccountant  # takes seconds to import, as all of Opacus

    accountant = PRVAccountant()
    accountant.history = [(sigma, rate, steps)]
    with _edges_allowed():
        return float(accountant.get_epsilon(mechanism.delta))


@lru_cache(maxsize=4096)
def _renyi(sigma: float, rate: float) -> NDArray[np.float64]:
    """float [orders]: Renyi divergence of one step at the orders that Opacus looks at."""
    from opacus.accountants import RDPAccountant
    from opacus.accountants.analysis.rdp import compute_rdp

    return np.asarray(compute_rdp(q=rate, noise_multiplier=sigma, steps=1, orders=RDPAccountant.DEFAULT_ALPHAS))


def _from_renyi(divergences: NDArray[np.float64], delta: float) -> float:
    from opacus.accountants import RDPAccountant
    from opacus.accountants.analysis.rdp import get_privacy_spent

    with _edges_allowed():
        epsilon, _ = get_privacy_spent(orders=RDPAccountant.DEFAULT_ALPHAS, rdp=divergences, delta=delta)
    return max(0.0, float(epsilon))


@lru_cache(maxsize=4096)
def noise_multiplier_for(epsilon: float, delta: float, sample_rate: float, steps: int, accountant: Accountant) -> float:
    """The noise with which ``steps`` steps cost ``epsilon``, or a few percent less.

    Raises:
        ValueError: no noise is enough: this accountant cannot show so small an epsilon.
    """
    from opacus.accountants.utils import get_noise_multiplier

    wanted: dict[str, Any] = {"target_epsilon": epsilon, "target_delta": delta, "sample_rate": sample_rate}
    wanted |= {"alphas": ORDERS} if accountant == "rdp" else {}
    with _edges_allowed():
        sigma = get_noise_multiplier(**wanted, steps=steps, accountant=accountant, epsilon_tolerance=0.01 * epsilon)
    return float(sigma)


@contextmanager
def _edges_allowed() -> Iterator[None]:
    """Without Opacus' warning that the best order is the first or last one: the bound holds, it is only loose.

    Nor that of the logarithm of 0, which its convolution takes at a sample rate of 1.
    """
    with LOCK, warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
