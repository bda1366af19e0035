"""Means of probabilities, in logarithms."""

import numpy as np
from scipy.special import logsumexp

from auditing.attacks.probability_ratio import log_mean


def test_means_are_those_of_the_probabilities_however_small():
    rng = np.random.default_rng(0)
    values, chosen = rng.normal(-900, 400, size=(6, 40)), rng.random((6, 40)) < 0.5
    chosen[:, :2] = [[True, False]] * 6
    values[:, 0] = -np.inf  # impossible in every reference
    found = log_mean(values, chosen)
    known = chosen.any(axis=0)
    expected = [
        logsumexp(column[mine]) - np.log(mine.sum())
        for column, mine in zip(values.T, chosen.T, strict=True)
        if mine.any()
    ]
    np.testing.assert_allclose(found[known], expected, rtol=1e-12)
    assert found[0] == -np.inf
    assert not known[1]
    np.testing.assert_allclose(found[1], logsumexp(expected) - np.log(len(expected)), rtol=1e-12)
