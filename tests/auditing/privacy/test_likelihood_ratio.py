"""Scores of canaries: the likelihood ratios of DP-SGD's steps, and how well they tell."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from auditing.privacy.likelihood_ratio import log_likelihood_ratio


def test_one_step_on_all_samples_is_plain_gaussian():
    shown = np.linspace(-3, 4, 8)
    assert log_likelihood_ratio(shown, 0.7, 1.0) == pytest.approx((shown - 0.5) / 0.7**2)
    assert log_likelihood_ratio(shown, 0.7, 0.1) == pytest.approx(np.log(0.9 + 0.1 * np.exp((shown - 0.5) / 0.49)))
    assert log_likelihood_ratio(5 * shown, 0.7, 1.0, steps=5) == pytest.approx(5 * (shown - 0.5) / 0.7**2)


@pytest.mark.parametrize("steps", [1, 5])
def test_likelihood_ratios_are_1_in_the_mean_without_the_canary(steps):
    shown = np.sqrt(steps) * 2 * np.random.default_rng(0).standard_normal(200_000)
    assert np.exp(log_likelihood_ratio(shown, 2.0, 0.3, steps)).mean() == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_likelihood_ratios_tell_more_than_sums():
    """Sample rate .032, 300 steps, noise .663: epsilon 8 at a delta of 1e-4."""
    rng, total, ratio = np.random.default_rng(1), np.zeros(20_000), np.zeros(20_000)
    included = np.arange(20_000) < 10_000
    for _ in range(300):
        shown = 0.663 * rng.standard_normal(20_000) + ((rng.random(20_000) < 0.032) & included)
        total += shown
        ratio += log_likelihood_ratio(shown, 0.663, 0.032)
    assert roc_auc_score(included, ratio) == pytest.approx(0.816, abs=0.01)
    assert roc_auc_score(included, total) == pytest.approx(0.716, abs=0.01)
