"""How many canaries in a block it takes to catch noise that is too small.

    python tests/benchmarks/too_little_noise.py [--sample-rate .032] [--steps 300] [--delta 1e-4] [--draws 20]
        [--canaries 160 640 2560 10240] [--seed 0]

For each promised epsilon, and noise that is a share smaller than that takes, canaries' scores are drawn as one who sees
every step of DP-SGD has them, with the noise as it is and weighed by the noise as promised. Printed is the smallest
number of canaries with which 19 of 20 draws contradict the promise (of sound noise, the most draws of any number): by a
bound that holds for any mechanism, by the same guesses if trade-off curves are Gaussian (15 % are guessed in both), by
two error rates of independent scores, and by the standard deviation of the noise itself, in the entries of one node's
canaries that were out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2

from auditing.privacy.empirical_epsilon import guessed_right, one_run_epsilon
from auditing.privacy.gaussian_bounds import independent_scores, one_run_gaussian
from auditing.privacy.measured_noise import ERROR
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.calibration import noise_multiplier_for

GUESSED, CAUGHT = 0.15, 0.95
NAMES = ("any mechanism", "if Gaussian", "independent", "the noise itself")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--sample-rate", type=float, default=0.032)
parser.add_argument("--steps", type=int, default=300)
parser.add_argument("--delta", type=float, default=1e-4)
parser.add_argument("--epsilon", type=float, nargs="+", default=[1, 2, 4, 8])
parser.add_argument("--short", type=float, nargs="+", default=[0, 0.05, 0.1, 0.2, 0.4])
parser.add_argument("--canaries", type=int, nargs="+", default=[40, 160, 640, 2560, 10240])
parser.add_argument("--draws", type=int, default=20)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()


def scores(count: int, promised: float, actual: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sums of log-likelihood ratios over the steps, float64 [count], and which canaries were in."""
    included, total, rate = rng.random(count) < 0.5, np.zeros(count), arguments.sample_rate
    for _ in range(arguments.steps):
        shown = actual * rng.standard_normal(count) + (included & (rng.random(count) < rate))
        total += np.logaddexp(np.log1p(-rate), np.log(rate) + (shown - 0.5) / promised**2)
    return total, included


def contradicted(count: int, epsilon: float, promised: float, short: float, rng: np.random.Generator) -> Iterator[bool]:
    """Whether the promise is, by each of `NAMES`."""
    ratios, included = scores(count, promised, promised * (1 - short), rng)
    guesses = max(1, round(GUESSED * count))
    right = guessed_right(ratios, included, guesses)
    yield one_run_epsilon(count, guesses, right, arguments.delta) > epsilon
    yield one_run_gaussian(count, guesses, right, arguments.delta).epsilon > epsilon
    yield independent_scores(ratios, included, arguments.delta).epsilon > epsilon
    samples = arguments.steps * max(1, int((~included).sum()))
    yield bool((1 - short) ** 2 * chi2.rvs(samples, random_state=rng) < chi2.ppf(ERROR / 2, samples))


def number(least: int | None) -> str:
    return "none" if least is None else f"{least:,}"


found = []
print(f"| promised epsilon (noise multiplier) | noise too small by | {' | '.join(NAMES)} |")
print(f"|{'---|' * (2 + len(NAMES))}")
for epsilon in arguments.epsilon:
    mechanism = GaussianSteps(1.0, arguments.sample_rate, arguments.delta, "pld")
    sigma = noise_multiplier_for(epsilon, mechanism, arguments.steps)
    for short in arguments.short:
        rng, least = np.random.default_rng(arguments.seed), dict[str, int | None].fromkeys(NAMES)
        wrong = dict.fromkeys(NAMES, 0)
        for count in arguments.canaries:
            draws = [list(contradicted(count, epsilon, sigma, short, rng)) for _ in range(arguments.draws)]
            for name, each in zip(NAMES, zip(*draws, strict=True), strict=True):
                wrong[name] = max(wrong[name], int(np.sum(each)))
                if least[name] is None and np.mean(each) >= CAUGHT:
                    least[name] = count
        shown = [f"{wrong[name]} of {arguments.draws}" if short == 0 else number(least[name]) for name in NAMES]
        found.append({"epsilon": epsilon, "sigma": sigma, "short": short, "canaries": least, "most_caught": wrong})
        print(f"| {epsilon:g} ({sigma:.3f}) | {short:.0%} | {' | '.join(shown)} |", flush=True)
print(json.dumps(found))
