import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from simulator.privacy.gaussian_dp import delta_of, epsilon_of, epsilons_of


@given(st.floats(0.01, 30), st.floats(1e-9, 0.2))
def test_epsilon_and_delta_are_inverse(mu, delta):
    epsilon = epsilon_of(mu, delta)
    if epsilon:
        assert delta_of(mu, epsilon) == pytest.approx(delta, rel=1e-6)
    else:
        assert delta_of(mu, 0.0) <= delta


def test_delta_is_the_integral_of_what_is_above_the_scaled_other_density():
    x = np.linspace(-12, 13, 400_001)
    for mu, epsilon in ((0.3, 0.1), (1.0, 0.7), (1.0, 2.0)):
        above = np.maximum(norm.pdf(x, mu) - np.exp(epsilon) * norm.pdf(x), 0)
        assert delta_of(mu, epsilon) == pytest.approx(above.sum() * (x[1] - x[0]), rel=1e-6)


def test_the_ends():
    assert epsilon_of(0.0, 1e-5) == 0
    assert epsilon_of(float("inf"), 1e-5) == float("inf")
    found = epsilons_of(np.array([[1.0, np.nan], [0.0, 4.0]]), 1e-5)
    np.testing.assert_array_equal(np.isnan(found), [[False, True], [False, False]])
    assert found[1, 1] == epsilon_of(2.0, 1e-5) > found[0, 0] > found[1, 0] == 0
