"""Bounds that take trade-off curves for Gaussian: known values, validity over simulated audits, how near they come."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from auditing.privacy.empirical_epsilon import guessed_right, one_run, one_run_epsilon
from auditing.privacy.gaussian_bounds import independent_scores, one_run_gaussian, one_run_sampled
from simulator.core.errors import InputError
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.gaussian_dp import epsilon_of
from simulator.privacy.loss_distributions import trade_off

DELTA = 1e-5


@pytest.mark.parametrize(
    ("canaries", "guesses", "epsilon"),
    [(10, 10, 2.81), (20, 20, 4.73), (40, 40, 6.35), (100, 100, 8.22), (200, 200, 9.51), (640, 640, 11.57),
     (1000, 1000, 12.33), (10, 5, 0.38), (40, 20, 3.92), (640, 320, 9.18)],
)  # fmt: skip
def test_faultless_guesses_show(canaries, guesses, epsilon):
    found = one_run_gaussian(canaries, guesses, guesses, DELTA)
    assert found.epsilon == found.ceiling == pytest.approx(epsilon, abs=0.006)


def test_half_of_the_guesses_right_shows_nothing_and_more_never_show_less():
    found = [one_run_gaussian(100, 60, right, DELTA).epsilon for right in range(61)]
    assert not any(found[:31])
    assert found == sorted(found)


@pytest.mark.parametrize("right", [192, 224, 256, 320])
def test_from_three_fifths_right_on_knowing_the_curve_shows_more(right):
    assert one_run_gaussian(640, 320, right, DELTA).epsilon > one_run_epsilon(640, 320, right, DELTA)
    assert one_run_gaussian(640, 320, 176, DELTA).epsilon < one_run_epsilon(640, 320, 176, DELTA) < 0.01


def drawn(mu, canaries, rng):
    """Log-likelihood ratios of N(mu, 1) over N(0, 1), and the coins."""
    included = rng.random(canaries) < 0.5
    return mu * (rng.normal(size=canaries) + mu * included) - mu**2 / 2, included


@pytest.mark.parametrize("mu", [0.268, 0.925])  # epsilon 1 and 4
def test_bounds_are_seldom_above_the_truth(mu):
    rng, audits = np.random.default_rng(7), 300
    found = np.array([bounds(*drawn(mu, 200, rng), 100) for _ in range(audits)])
    assert (found > epsilon_of(mu, DELTA)).sum(axis=0).max() <= binom.isf(1e-6, audits, 0.05)
    assert found[:, 2].any()


def bounds(ratios, included, guesses):
    right = guessed_right(ratios, included, guesses)
    return (
        one_run(ratios, included, guesses, DELTA).epsilon,
        one_run_gaussian(len(ratios), guesses, right, DELTA).epsilon,
        independent_scores(ratios, included, DELTA).epsilon,
    )


def test_what_640_canaries_show_of_an_epsilon_of_8():
    """A mechanism that is Gaussian, of mu 1.666: the more is assumed, the more of it is seen."""
    rng = np.random.default_rng(8)
    found = np.mean([bounds(*drawn(1.666, 640, rng), 320) for _ in range(20)], axis=0)
    assert found == pytest.approx([2.06, 3.69, 6.27], abs=0.3)


@pytest.mark.slow
def test_steps_of_dp_sgd_show_more_by_their_own_curve_than_by_a_gaussian_one():
    """Faultless attacks on 300 steps of an epsilon of 8, and a promise that half the noise would break."""
    mechanism = GaussianSteps(0.6639, 0.032, 1e-4, "pld")
    found = [one_run_sampled(640, 96, right, mechanism, 300) for right in (48, 90)]
    assert found[0] == 0
    assert one_run_gaussian(640, 96, 90, 1e-4).epsilon < found[1] < mechanism.epsilon(300)
    everybody = GaussianSteps(4.0, 1.0, 1e-4, "pld")
    assert one_run_sampled(640, 96, 90, everybody, 10) == one_run_gaussian(640, 96, 90, 1e-4).epsilon


def test_trade_off_curves_are_those_of_gaussians_where_everybody_is_in_a_step():
    misses, mu = trade_off([(4.0, 1.0, 16)]), 1.0  # 16 steps of noise 4
    for rate in (0.01, 0.1, 0.5, 0.9):
        truth = norm.cdf(norm.isf(rate) - mu)
        assert truth - 0.002 < misses(rate) <= truth + 1e-9


def test_a_score_that_is_no_number_is_refused_and_canaries_that_are_all_in_show_nothing():
    with pytest.raises(InputError, match="not finite"):
        independent_scores(np.array([0.0, np.nan]), np.array([True, False]), DELTA)
    shown = independent_scores(np.ones(2), np.array([True, True]), DELTA)
    assert (shown.epsilon, shown.ceiling, shown.correct) == (0, 0, 2)
