"""The streaming correlation is that of whole trajectories."""

from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.ltc.correlation import Correlation, noise_floor


def streamed(x, y, **settings):
    """float64 [N], of trajectories float64 [T, N]."""
    correlation = Correlation(x.shape[1], **settings)
    for at_x, at_y in zip(torch.from_numpy(x), torch.from_numpy(y), strict=True):
        correlation.add(at_x, at_y)
    return correlation.values.numpy()


def trajectories(seed, checkpoints=12, samples=7):
    """Losses that fall from one level and scatter, and the means they are compared with."""
    rng = np.random.default_rng(seed)
    falling = np.linspace(2.3, 0.1, checkpoints)[:, None]
    return (falling + rng.normal(scale=0.3, size=(checkpoints, samples)) for _ in range(2))


def batch(x, y, differences=True):
    """Pearson's r, sample by sample, with the formulas written out as in the released code."""
    x, y = (np.diff(each, axis=0) if differences else each for each in (x, y))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    deviations = [np.where(each.std(axis=0) == 0, 1, each.std(axis=0)) for each in (x, y)]
    return (x * y).mean(axis=0) / deviations[0] / deviations[1]


@given(st.integers(0, 1000), st.integers(3, 40), st.booleans())
def test_streaming_equals_batch(seed, checkpoints, differences):
    x, y = trajectories(seed, checkpoints)

    np.testing.assert_allclose(streamed(x, y, differences=differences), batch(x, y, differences), atol=1e-12)


def test_large_losses_that_change_little_lose_no_digits():
    x, y = (1e6 + 1e-3 * each for each in trajectories(0))

    np.testing.assert_allclose(streamed(x, y, differences=False), batch(x, y, differences=False), atol=1e-6)


@given(st.integers(0, 100))
def test_the_order_of_samples_makes_no_difference(seed):
    x, y = trajectories(seed)
    order = np.random.default_rng(seed).permutation(x.shape[1])

    assert np.array_equal(streamed(x[:, order], y[:, order]), streamed(x, y)[order])


@given(st.integers(0, 100), st.floats(0.01, 100), st.floats(-10, 10), st.booleans())
def test_scale_and_shift_make_no_difference_and_a_mirror_turns_the_sign(seed, scale, shift, differences):
    x, y = trajectories(seed)
    found = streamed(x, y, differences=differences)

    np.testing.assert_allclose(streamed(scale * x + shift, y, differences=differences), found, atol=1e-9)
    np.testing.assert_allclose(streamed(-scale * x + shift, y, differences=differences), -found, atol=1e-9)
    np.testing.assert_allclose(streamed(x, x, differences=differences), 1)


def test_a_constant_trajectory_gives_0():
    x, y = trajectories(0)
    for differences in (True, False):
        constant = np.full_like(x, 0.1)
        assert (streamed(constant, y, differences=differences) == 0).all()
        assert (streamed(x, constant, differences=differences) == 0).all()


def test_checkpoints_that_a_sample_missed_are_skipped():
    x, y = trajectories(0)
    partly = x.copy()
    partly[[0, 3, 4, 9], 2] = nan
    found, there = streamed(partly, y), ~np.isnan(partly[:, 2])

    assert found[2] == pytest.approx(batch(x[there], y[there])[2])
    np.testing.assert_array_equal(np.delete(found, 2), np.delete(streamed(x, y), 2))


@pytest.mark.parametrize(("differences", "least"), [(True, 3), (False, 2)])
def test_too_few_checkpoints_give_no_score(differences, least):
    x, y = trajectories(0)

    assert np.isnan(streamed(x[: least - 1], y[: least - 1], differences=differences)).all()
    assert np.isfinite(streamed(x[:least], y[:least], differences=differences)).all()


def test_the_state_goes_on_where_it_was():
    x, y = (torch.from_numpy(each) for each in trajectories(0))
    one, other = Correlation(7), Correlation(7)
    for checkpoint in range(5):
        one.add(x[checkpoint], y[checkpoint])
    other.load_state_dict(one.state_dict())
    for checkpoint in range(5, 12):
        one.add(x[checkpoint], y[checkpoint])
        other.add(x[checkpoint], y[checkpoint])

    assert torch.equal(one.values, other.values)
    assert one.count.tolist() == [11] * 7


@pytest.mark.parametrize("points", [5, 20, 90])
def test_the_noise_floor_is_what_unrelated_trajectories_scatter(points):
    rng = np.random.default_rng(0)
    found = streamed(*rng.normal(size=(2, points, 4000)), differences=False)

    assert found.std() == pytest.approx(noise_floor(points), rel=0.05)
