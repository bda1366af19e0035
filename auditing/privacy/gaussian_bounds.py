"""Lower bounds on epsilon from one run, for mechanisms of which the family of trade-off curves is known.

They show more than bounds that hold for any mechanism, and are nothing where the assumption is wrong. Gaussian noise
on everybody is mu-GDP for some mu; at small noise the tails of DP-SGD on samples are heavier, so that by that curve the
same evidence shows a smaller epsilon than by DP-SGD's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from auditing.privacy.empirical_epsilon import LowerBound, many_runs_gaussian
from simulator.core.errors import wrong
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.gaussian_dp import epsilon_of
from simulator.privacy.loss_distributions import trade_off

LARGEST_MU = 50.0
PRECISION = 1e-9  # of mu
PRECISION_OF_NOISE, LEAST_NOISE = 3e-3, 0.1  # relative; below, epsilons are not told apart


def one_run_gaussian(canaries: int, guesses: int, correct: int, delta: float, confidence: float = 0.95) -> LowerBound:
    """From ``correct`` of ``guesses`` right about ``canaries``, each in or out by a coin of its own.

    Canaries may disturb each other, as for `one_run`; what is assumed is the trade-off curve (Mahloujifar, Melis &
    Chaudhuri 2025, arXiv:2410.22235). How many guesses are made must be fixed before looking at scores.

    Args:
        canaries: m.
        guesses: r, 1 to m.
        correct: v, how many are right.
        delta: of the (epsilon, delta) that mu amounts to.
        confidence: probability with which the bound holds.
    """
    found, ceiling = (_largest_mu(canaries, guesses, right, confidence) for right in (correct, guesses))
    return LowerBound(epsilon_of(found, delta), epsilon_of(ceiling, delta), correct, guesses)


def one_run_sampled(
    canaries: int, guesses: int, correct: int, mechanism: GaussianSteps, steps: int, confidence: float = 0.95
) -> float:
    """As `one_run_gaussian`, for ``steps`` steps of DP-SGD whose noise alone is unknown: the epsilon of the most noise.

    Args:
        canaries: m.
        guesses: r, 1 to m.
        correct: v, how many are right.
        mechanism: its sample rate and delta; its noise multiplier is where the search begins.
        steps: how many.
        confidence: probability with which the bound holds.
    """
    if mechanism.sample_rate == 1:
        return one_run_gaussian(canaries, guesses, correct, mechanism.delta, confidence).epsilon
    counts = canaries, guesses, correct, confidence
    if not refutes(lambda right: right, *counts):
        return 0.0
    known: dict[float, bool] = {}

    def refuted(sigma: float) -> bool:
        if sigma not in known:
            misses = trade_off(replace(mechanism, noise_multiplier=sigma).composed(steps))
            known[sigma] = refutes(lambda right: misses(1 - right), *counts)
        return known[sigma]

    low = high = mechanism.noise_multiplier
    while not refuted(high):
        low, high = high, high * 1.5
    while refuted(low) and low > LEAST_NOISE:
        low, high = low / 1.25, low
    while high / low > 1 + PRECISION_OF_NOISE:
        middle = sqrt(low * high)
        low, high = (low, middle) if refuted(middle) else (middle, high)
    return replace(mechanism, noise_multiplier=high, accountant="pld").epsilon(steps)


def refutes(
    least_misses: Callable[[float], float], canaries: int, guesses: int, correct: int, confidence: float
) -> bool:
    """Whether a trade-off curve allows so many right guesses with a probability of less than 1 - confidence only.

    The recursion of `one_run_gaussian`'s paper. Suppose that v or more guesses were right with probability p. Over the
    canaries this comes to R = p v / m right and H = p (r - v) / m wrong ones at least, and by the trade-off curve f, to
    H >= f(1 - R), which for mu-GDP is Phi(Phi^-1(R) - mu). What that adds to H, it adds to R in the odds of i to r - i,
    for i = v - 1 and fewer. In the end there cannot be more than r / m of both.

    Args:
        least_misses: R to the least H.
        canaries: m.
        guesses: r.
        correct: v.
        confidence: of the bound.
    """
    level = 1 - confidence
    right, missed = level * correct / canaries, level * (guesses - correct) / canaries
    for fewer in range(correct - 1, -1, -1):
        more = least_misses(right) - missed
        if more <= 0:
            break
        missed += more
        right = min(1.0, right + fewer / (guesses - fewer) * more)
    return right + missed > guesses / canaries


@lru_cache(maxsize=4096)
def _largest_mu(canaries: int, guesses: int, correct: int, confidence: float) -> float:
    counts = canaries, guesses, correct, confidence

    def refuted(mu: float) -> bool:
        return refutes(lambda right: float(ndtr(ndtri(right) - mu)), *counts)

    if not refuted(0.0):
        return 0.0
    low, high = 0.0, LARGEST_MU
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def independent_scores(
    ratios: NDArray[np.float64], included: NDArray[np.bool_], delta: float, confidence: float = 0.95
) -> LowerBound:
    """From canaries whose scores are independent of each other, given the coins: as if each were a run of its own.

    So they are where canaries share neither gradients nor noise, as those of `simulator.data.canaries` in a block of
    parameters do not. A canary is guessed to be in where its log-likelihood ratio is above 0: a threshold that no score
    has chosen. The two error rates are put at upper Clopper-Pearson limits (Nasr et al. 2023, arXiv:2302.07956).
    Canaries that are all in, or all out, as few may be by chance, show nothing.

    Args:
        ratios: float [m], each canary's log-likelihood ratio, in over out.
        included: bool [m], whether it was in.
        delta: of the (epsilon, delta) that mu amounts to.
        confidence: probability with which the bound holds.

    Raises:
        InputError: a ratio is no number.
    """
    if not np.isfinite(ratios).all():
        raise wrong("scores", "some are not finite.", "Look whether training diverged.")
    guessed = ratios > 0
    false_positives, false_negatives = int((guessed & ~included).sum()), int((~guessed & included).sum())
    positives = int(included.sum())
    if positives in (0, len(included)):
        return LowerBound(0.0, 0.0, len(included) - false_positives - false_negatives, len(included))
    return many_runs_gaussian(false_positives, len(included) - positives, false_negatives, positives, delta, confidence)
