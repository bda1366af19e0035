"""Lower bounds on epsilon from attacks that were carried out: what a mechanism cannot be better than.

Each bound holds with a confidence, over the coins of the experiment, for whatever attack. It says nothing about how bad
the mechanism is, and no number of canaries or runs shows more than its ceiling: what a faultless attack would give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, norm

from simulator.core.errors import wrong
from simulator.privacy.gaussian_dp import epsilon_of

MOST = 100.0  # epsilons beyond this are not told apart


@dataclass(frozen=True)
class LowerBound:
    """A lower bound on epsilon.

    Attributes:
        epsilon: the bound, 0 where nothing is shown.
        ceiling: the bound if every guess had been right.
        correct: how many were.
        guesses: how many were made.
    """

    epsilon: float
    ceiling: float
    correct: int
    guesses: int


def one_run(
    scores: NDArray[np.float64], included: NDArray[np.bool_], guesses: int, delta: float, confidence: float = 0.95
) -> LowerBound:
    """From one run with canaries, each included or not by a coin of its own (Steinke, Nasr & Jagielski 2023).

    The canaries of the ``guesses // 2`` highest scores are guessed to be in, those of as many lowest (one more, if odd)
    to be out; of the others nothing is said. Theirs is the add/remove relation of single canaries. ``guesses`` must be
    chosen before looking at the scores: the best of several choices is no bound at this confidence.

    Args:
        scores: float [m], higher where a canary seems to have been in; what ties is ordered by place.
        included: bool [m], whether it was.
        guesses: how many guesses to make, 1 to m.
        delta: of the (epsilon, delta) that is bounded.
        confidence: probability with which the bound holds.

    Raises:
        InputError: there are not so many canaries, or scores that are no numbers.
    """
    if scores.shape != included.shape or not 1 <= guesses <= len(scores):
        what = f"{guesses} guesses about {len(scores)} scores and {len(included)} canaries."
        raise wrong("guesses", what, "Give each canary a score, and make 1 to as many guesses as there are canaries.")
    if not np.isfinite(scores).all():
        raise wrong("scores", "some are not finite.", "Look whether training diverged.")
    correct = guessed_right(scores, included, guesses)
    found, ceiling = (one_run_epsilon(len(scores), guesses, c, delta, confidence) for c in (correct, guesses))
    return LowerBound(found, ceiling, correct, guesses)


def guessed_right(scores: NDArray[np.float64], included: NDArray[np.bool_], guesses: int) -> int:
    """How many of the guesses of `one_run` are right."""
    order = np.argsort(scores, kind="stable")
    high, low = order[len(order) - guesses // 2 :], order[: guesses - guesses // 2]
    return int(included[high].sum() + (~included[low]).sum())


@lru_cache(maxsize=4096)
def one_run_epsilon(canaries: int, guesses: int, correct: int, delta: float, confidence: float = 0.95) -> float:
    """The largest epsilon that ``correct`` of ``guesses`` right guesses about ``canaries`` canaries refute."""
    return _largest(lambda epsilon: one_run_p_value(epsilon, canaries, guesses, correct, delta) <= 1 - confidence)


def one_run_p_value(epsilon: float, canaries: int, guesses: int, correct: int, delta: float) -> float:
    """How likely an (epsilon, delta)-DP mechanism allows so many right guesses: at most this (there, theorem 5.2).

    With V ~ Bin(r, e^epsilon / (1 + e^epsilon)), v right and m canaries: P[V >= v] + 2 m delta max_i P[v > V >= v-i]/i.
    """
    rate = 1 / (1 + exp(-epsilon))
    below = binom.pmf(np.arange(correct - 1, -1, -1), guesses, rate).cumsum()  # P[v > V >= v - i], i = 1..v
    steepest = float(np.max(below / np.arange(1, correct + 1), initial=0.0))
    return min(1.0, float(binom.sf(correct - 1, guesses, rate)) + 2 * canaries * delta * steepest)


def many_runs(
    false_positives: int, negatives: int, false_negatives: int, positives: int, delta: float, confidence: float = 0.95
) -> LowerBound:
    """From an attack on many runs, with and without the target (Jagielski et al. 2020, arXiv:2006.07709).

    An attack on an (epsilon, delta)-DP mechanism has FPR + e^epsilon FNR >= 1 - delta, and the same with FPR and FNR
    exchanged; both rates are put at upper Clopper-Pearson limits, which share the error of the confidence between them.
    The attack's threshold must be chosen on other runs.

    Args:
        false_positives: of the ``negatives`` runs without the target, how many the attack took for runs with it.
        negatives: runs without the target.
        false_negatives: of the ``positives`` runs with it, how many it took for runs without.
        positives: runs with the target.
        delta: of the (epsilon, delta) that is bounded.
        confidence: probability with which the bound holds.

    Raises:
        InputError: a count is negative or larger than the number of its runs.
    """

    def bound(fp: int, fn: int) -> float:
        fpr, fnr = _rates(fp, negatives, fn, positives, confidence)
        odds = max((1 - delta - fnr) / fpr, (1 - delta - fpr) / fnr)
        return log(odds) if odds > 1 else 0.0

    return _runs(bound, false_positives, negatives, false_negatives, positives)


def many_runs_gaussian(
    false_positives: int, negatives: int, false_negatives: int, positives: int, delta: float, confidence: float = 0.95
) -> LowerBound:
    """As `many_runs`, for a mechanism that is known to be mu-GDP for some mu, as Gaussian noise is (Nasr et al. 2023).

    mu is at least Phi^-1(1 - FPR) - Phi^-1(FNR), with the same limits (arXiv:2302.07956); it is turned into epsilon.
    """

    def bound(fp: int, fn: int) -> float:
        fpr, fnr = _rates(fp, negatives, fn, positives, confidence)
        return epsilon_of(max(0.0, float(norm.isf(fpr) - norm.ppf(fnr))), delta)

    return _runs(bound, false_positives, negatives, false_negatives, positives)


def _runs(bound: Callable[[int, int], float], fp: int, negatives: int, fn: int, positives: int) -> LowerBound:
    for wrongly, of in ((fp, negatives), (fn, positives)):
        if not 0 <= wrongly <= of or of == 0:
            raise wrong("runs", f"{wrongly} errors in {of} runs.", "Count errors among at least one run of each kind.")
    return LowerBound(bound(fp, fn), bound(0, 0), negatives + positives - fp - fn, negatives + positives)


def _rates(fp: int, negatives: int, fn: int, positives: int, confidence: float) -> tuple[float, float]:
    """Upper limits of FPR and FNR that hold together with the confidence."""
    fpr, fnr = (upper_limit(wrongly, of, (1 - confidence) / 2) for wrongly, of in ((fp, negatives), (fn, positives)))
    return fpr, fnr


def upper_limit(errors: int, trials: int, error_rate: float) -> float:
    """The one-sided Clopper-Pearson limit of a rate, too low with probability at most ``error_rate``."""
    return 1.0 if errors == trials else float(beta.ppf(1 - error_rate, errors + 1, trials - errors))


def _largest(refuted: Callable[[float], bool]) -> float:
    """sup of the epsilons in [0, MOST] that are refuted; those above one that is not are not either."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, MOST
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low
