"""Weights of exits, on problems that can be solved by hand."""

import numpy as np
import pytest
from scipy.special import log_softmax

from auditing.early_exit.weights import equal, fit, fit_prefixes


def binary(margin, rows=4):
    """Logits of samples of class 0, each ``margin`` ahead."""
    return np.tile([margin, 0.0], (rows, 1))


@pytest.mark.parametrize("l1", [0.01, 0.1, 0.4])
def test_one_exit_has_the_weight_at_which_its_gain_is_the_price(l1):
    """d sigmoid(-w d) = l1, so w = log(d / l1 - 1) / d."""
    margin = 2.0
    (weight,) = fit(binary(margin)[None], np.zeros(4, dtype=np.int64), l1)
    assert weight == pytest.approx(np.log(margin / l1 - 1) / margin, rel=1e-5)


def test_an_exit_whose_gain_is_below_the_price_has_no_weight():
    """At w = 0 the gain is d / 2."""
    assert fit(binary(0.5)[None], np.zeros(4, dtype=np.int64), 0.26).tolist() == [0]


def test_an_exit_that_tells_nothing_has_no_weight_and_a_wrong_one_a_negative_one():
    labels = np.zeros(4, dtype=np.int64)
    useful, useless, inverted = binary(2.0), np.ones((4, 2)), binary(-2.0)
    weights = fit(np.stack([useful, useless]), labels, 0.1)
    assert weights[0] == pytest.approx(np.log(19) / 2, rel=1e-5)
    assert weights[1] == 0
    assert fit(inverted[None], labels, 0.1)[0] == pytest.approx(-np.log(19) / 2, rel=1e-5)


def test_of_two_equal_directions_the_longer_is_the_cheaper():
    weights = fit(np.stack([binary(1.0), binary(3.0)]), np.zeros(4, dtype=np.int64), 0.1)
    assert weights[0] == 0
    assert weights[1] == pytest.approx(np.log(29) / 3, rel=1e-5)


def test_no_other_weights_are_better():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 40, 3)), rng.integers(0, 3, 40)

    def price(weights):
        log_p = log_softmax(np.tensordot(weights, logits, 1), axis=1)
        return -log_p[np.arange(40), labels].mean() + 0.02 * abs(weights).sum()

    found = fit(logits, labels, 0.02)
    others = [found + scale * rng.normal(size=5) for scale in (1e-3, 1e-2, 1e-1) for _ in range(50)]
    assert min(map(price, others)) >= price(found) - 1e-9


def test_prefixes_see_no_later_exit():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(3, 30, 3)), rng.integers(0, 3, 30)
    rows = fit_prefixes(logits, labels, 0.01)
    assert (np.triu(rows, 1) == 0).all()
    np.testing.assert_allclose(rows[1, :2], fit(logits[:2], labels, 0.01))


def test_equal_weights_are_means():
    np.testing.assert_allclose(equal(3), [[1, 0, 0], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]])
