"""The perfect attack: its scores are likelihood ratios, and what it shows of few rounds is next to nothing."""

from math import sqrt

import numpy as np
import pytest

from auditing.privacy.empirical_epsilon import one_run_epsilon
from auditing.privacy.perfect_attack import CanaryNoise, reaches, scores
from simulator.privacy.accounting import GaussianSteps


def drawn(sigma, rate, steps, included, trials=400):
    noise = CanaryNoise(GaussianSteps(sigma, rate, 1e-4, "rdp"), steps)
    return scores(noise, np.array(included), trials, np.random.default_rng(0))


def test_without_sampling_scores_are_those_of_two_gaussians():
    """N(-mu^2 / 2, mu^2) and N(mu^2 / 2, mu^2) with mu^2 = steps / sigma^2."""
    found, mu2 = drawn(4.0, 1.0, 20, [False] * 50 + [True] * 50), 20 / 16
    for of, sign in ((found[:, :50], -1), (found[:, 50:], 1)):
        assert of.mean() == pytest.approx(sign * mu2 / 2, abs=0.04)
        assert of.var() == pytest.approx(mu2, rel=0.05)


def test_of_passes_a_canary_is_seen_once_each_and_scores_are_those_of_the_closed_form():
    """50 steps, 12 to a pass: a canary is in 5 of them at most, and mu^2 = 5 / sigma^2."""
    mechanism = GaussianSteps(4.0, 1.0, 1e-2, "pld", pass_length=12)
    found = scores(CanaryNoise(mechanism, 50), np.array([False, True]), 40_000, np.random.default_rng(0))
    mu = sqrt(5) / 4

    assert found.mean(0) == pytest.approx([-(mu**2) / 2, mu**2 / 2], abs=0.01)
    assert found.std(0) == pytest.approx(mu, rel=0.02)
    epsilon = mechanism.epsilon(50)
    shown = (found[:, 1] > epsilon).mean() - np.exp(epsilon) * (found[:, 0] > epsilon).mean()
    assert shown == pytest.approx(1e-2, abs=3e-3)  # delta, where the trade-off is best
    assert mechanism.epsilon(48) < epsilon == mechanism.epsilon(60)


def test_likelihood_ratios_average_to_one_over_those_that_are_out():
    assert np.exp(drawn(1.5, 0.1, 30, [False] * 200)).mean() == pytest.approx(1, abs=0.02)


def test_the_area_under_the_curve_of_dp_sgd_at_an_epsilon_of_8():
    """.816 was found apart from this, for 300 steps at a rate of .032 and a noise of .663."""
    found = drawn(0.663, 0.032, 300, [False, True], trials=4000)
    assert (found[:, 1] > found[:, 0]).mean() == pytest.approx(0.816, abs=0.02)


@pytest.mark.parametrize(("steps", "typical"), [(15, 0.13), pytest.param(300, 1.46, marks=pytest.mark.slow)])
def test_three_of_sixty_rounds_show_next_to_nothing(steps, typical):
    """16 nodes, 40 canaries each, half of them guessed, with noise for an epsilon of 8 in 60 rounds of 5 steps."""
    coins = [np.random.default_rng(node).random(40) < 0.5 for node in range(16)]
    noise = CanaryNoise(GaussianSteps(0.663, 0.032, 1e-4, "rdp"), steps)
    nodes, pooled = reaches([noise] * 16, coins, [20] * 16, 0.95, seed=0)
    assert pooled.typical == pytest.approx(typical, abs=0.1)
    assert pooled.typical < pooled.most < one_run_epsilon(640, 320, 320, 1e-4)
    assert reaches([noise] * 16, coins, [20] * 16, 0.95, seed=0, comparable=True)[1].typical >= pooled.typical
    assert max(node.typical for node in nodes) <= pooled.typical or steps == 15
