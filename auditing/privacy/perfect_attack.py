"""What the best attack possible would show: how much an audit could have found at all, with the noise as promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p

import numpy as np
from numpy.typing import NDArray

from auditing.privacy.empirical_epsilon import guessed_right, one_run_epsilon
from simulator.core.seeding import generator
from simulator.privacy.accounting import GaussianSteps

Floats = NDArray[np.float64]
TRIALS = 100
AT_ONCE = 2**22  # numbers drawn


@dataclass(frozen=True)
class CanaryNoise:
    """What hides the canaries of a node: ``steps`` recorded steps of a mechanism.

    Where batches are the parts of passes, a canary is in one step of each, and it is known in which.
    """

    mechanism: GaussianSteps
    steps: int


@dataclass(frozen=True)
class Reach:
    """Lower bounds on epsilon that a perfect attack shows, over draws of the noise.

    Attributes:
        typical: the median.
        most: what is exceeded no more often than a bound is wrong: at a confidence of .95, one time in 20.
    """

    typical: float
    most: float


def scores(noise: CanaryNoise, included: NDArray[np.bool_], trials: int, rng: np.random.Generator) -> Floats:
    """The log-likelihood ratios of canaries, ``included`` (bool [m]) or not. float64 [trials, m].

    A step shows the canary's clipped gradient, of norm 1 and orthogonal to all others, with probability q (the sample
    rate), and noise: s = Bernoulli(q) + N(0, sigma^2) if it is in, s = N(0, sigma^2) if not. No attack is better than
    the sum over steps of log(1 - q + q exp((s - 1/2) / sigma^2)) (Neyman-Pearson): its distributions are those that
    accountants of DP-SGD compose. Whoever sees the sum over a round's steps has less.
    """
    sigma, q = noise.mechanism.noise_multiplier, noise.mechanism.sample_rate
    total = np.zeros((trials, len(included)))
    looks = noise.mechanism.looks(noise.steps)
    for start in range(0, looks, length := max(1, AT_ONCE // total.size)):
        shape = (min(length, looks - start), *total.shape)
        shown = sigma * rng.standard_normal(shape) + ((rng.random(shape) < q) & included)
        ratio = (shown - 0.5) / sigma**2
        total += (ratio if q == 1 else np.logaddexp(log1p(-q), log(q) + ratio)).sum(axis=0)
    return total


def reaches(
    noises: Sequence[CanaryNoise],
    coins: Sequence[NDArray[np.bool_]],
    guesses: Sequence[int],
    confidence: float,
    seed: int,
    comparable: bool = False,
) -> tuple[list[Reach], Reach]:
    """What `one_run` shows by perfect scores, of each node and of all their guesses together.

    Args:
        noises: of each node.
        coins: bool [m], whether each of its canaries was included.
        guesses: how many are guessed.
        confidence: of the bounds.
        seed: of the noise drawn here.
        comparable: of all nodes together, guess the surest of all canaries, and not the surest of each node.
    """
    drawn = [_drawn(noise, own, seed, node) for node, (noise, own) in enumerate(zip(noises, coins, strict=True))]
    correct = [_right(each, own, r) for each, own, r in zip(drawn, coins, guesses, strict=True)]
    pooled = np.sum(correct, axis=0)
    if comparable:
        pooled = _right(np.concatenate(drawn, axis=1), np.concatenate(coins), sum(guesses))
    deltas = [noise.mechanism.delta for noise in noises]
    each = [
        _reach(right, len(own), r, delta, confidence)
        for right, own, r, delta in zip(correct, coins, guesses, deltas, strict=True)
    ]
    return each, _reach(pooled, sum(map(len, coins)), sum(guesses), max(deltas), confidence)


def _right(scores: Floats, included: NDArray[np.bool_], guesses: int) -> NDArray[np.int64]:
    return np.array([guessed_right(each, included, guesses) for each in scores])


def _drawn(noise: CanaryNoise, included: NDArray[np.bool_], seed: int, node: int) -> Floats:
    return scores(noise, included, TRIALS, generator(seed, "audit.perfect_attack", node=node))


def _reach(correct: NDArray[np.int64], canaries: int, guesses: int, delta: float, confidence: float) -> Reach:
    typical, most = (int(np.quantile(correct, level, method="higher")) for level in (0.5, confidence))
    return Reach(
        one_run_epsilon(canaries, guesses, typical, delta, confidence),
        one_run_epsilon(canaries, guesses, most, delta, confidence),
    )
