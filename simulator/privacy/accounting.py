"""What training with noise costs in privacy, by one of three accountants.

``pld`` convolves distributions of privacy losses, tight to a thousandth, in some hundredths of a second a question; it
is exact where every step looks at everybody. ``rdp`` composes Renyi divergences in no time, to an upper bound some ten
percent above the truth. ``prv`` convolves losses by other code, Opacus' (Gopi, Lee & Wutschitz 2021, arXiv:2106.02848),
up to .01 above the truth and in up to seconds a question: a second opinion.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import inf, sqrt
from typing import Literal

from simulator.privacy.gaussian_dp import epsilon_of
from simulator.privacy.loss_distributions import Steps, epsilon_of_losses
from simulator.privacy.renyi import edges_allowed, epsilon_of_renyi

Accountant = Literal["pld", "rdp", "prv"]
LARGEST = 100.0  # epsilon: beyond it nothing is promised, and grids of privacy losses may not fit into memory


@dataclass(frozen=True)
class GaussianSteps:
    """The Gaussian mechanism on samples, many times over: Poisson ones, or the parts of pass after pass.

    Two data sets are neighbours if one has a member more; it moves the sum that noise is added to by the sensitivity.
    Where samples are parts of a pass, the other data set has the member's place in them empty. Who knows the parts sees
    the member in one step of each pass, and nothing of it in others, however parts are drawn: that is what is counted,
    k passes as k steps that look at everybody, exactly. What a secret order would save is not known and not counted.

    Attributes:
        noise_multiplier: standard deviation of the noise over the sensitivity.
        sample_rate: probability that a member is in a sample.
        delta: of the promise (epsilon, delta).
        accountant: which of them counts.
        released: the noise multiplier of one release about all members, before the first step; None: no such.
        pass_length: steps of a pass, of which each member is in one (with probability ``sample_rate``).
    """

    noise_multiplier: float
    sample_rate: float
    delta: float
    accountant: Accountant
    released: float | None = None
    pass_length: int = 1

    def epsilon(self, steps: int) -> float:
        """What ``steps`` steps cost, and what was released before them.

        By ``pld``, what ``rdp`` finds larger than twice `LARGEST` is left at that: nothing is promised there.
        """
        return _epsilon(self, steps)

    def affordable(self, epsilon: float, at_most: int) -> int:
        """The most steps, up to ``at_most``, that cost no more than ``epsilon``."""
        return bisect_right(range(at_most + 1), epsilon, key=self.epsilon) - 1

    def composed(self, steps: int) -> tuple[Steps, ...]:
        """All that is paid for by the end of ``steps`` steps."""
        before = () if self.released is None else ((self.released, 1.0, 1),)
        return (*before, (self.noise_multiplier, self.sample_rate, self.looks(steps))) if steps else before

    def looks(self, steps: int) -> int:
        """In how many of ``steps`` steps a member may be: of those members that were in the most."""
        return -(-steps // self.pass_length)


@lru_cache(maxsize=4096)
def _epsilon(mechanism: GaussianSteps, steps: int) -> float:
    done, delta = mechanism.composed(steps), mechanism.delta
    if not done:
        return 0.0
    if any(sigma == 0 for sigma, _, _ in done):
        return inf
    if mechanism.accountant == "prv":
        return _by_prv(done, delta)
    if mechanism.accountant == "pld" and (exact := without_sampling(done, delta)) is not None:
        return exact
    bound = epsilon_of_renyi(done, delta)
    return bound if mechanism.accountant == "rdp" or bound > 2 * LARGEST else epsilon_of_losses(done, delta)


def without_sampling(done: tuple[Steps, ...], delta: float) -> float | None:
    """What steps that look at everybody cost, exactly; None where a sample is drawn."""
    if any(rate < 1 for _, rate, _ in done):
        return None
    return epsilon_of(sqrt(sum(times / sigma**2 for sigma, _, times in done)), delta)


def _by_prv(done: tuple[Steps, ...], delta: float) -> float:
    from opacus.accountants import PRVAccountant  # takes seconds to import, as all of Opacus

    accountant = PRVAccountant()
    accountant.history = list(done)
    with edges_allowed():
        return float(accountant.get_epsilon(delta))
