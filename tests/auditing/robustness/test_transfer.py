"""The metric of transferability: exact on made-up curves, and what is counted, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.transfer import Fit, Transfers, transfers

STRENGTHS = (0.02, 0.04, 0.06, 0.08)


@settings(max_examples=30)
@given(a=st.floats(5, 190), b=st.floats(-150, -8))
def test_a_and_b_are_recovered(a, b):
    fit = Fit.of(STRENGTHS, Fit(a, b)(np.array(STRENGTHS)), 200)

    assert fit.a == pytest.approx(a, rel=1e-4)
    assert fit.b == pytest.approx(b, rel=1e-4)


def test_nothing_transferred_is_fitted_by_zero():
    assert Fit.of(STRENGTHS, np.zeros(4), 200)(0.03) == 0


def test_a_curve_that_is_full_from_the_start_stays_full():
    assert Fit.of(STRENGTHS, np.full(4, 200.0), 200)(8 / 255) == pytest.approx(200, rel=1e-3)


def test_the_metric_divides_by_what_fools_the_source():
    """The released code multiplies by 1 - exp(b eps) where it should divide, which would give a smaller number."""
    curves = [[Fit(100, -50), Fit(50, -20)], [Fit(30, -80), Fit(60, -30)]]
    counts = np.array([[[curve(eps) for curve in row] for row in curves] for eps in STRENGTHS])
    metric = Transfers(STRENGTHS, counts, np.ones(2), 100).metric(0.03)

    assert np.diag(metric) == pytest.approx([1, 1])
    assert metric[0, 1] == pytest.approx(50 * (1 - np.exp(-0.6)) / (100 * (1 - np.exp(-1.5))), rel=1e-4)
    assert metric[1, 0] == pytest.approx(30 * (1 - np.exp(-2.4)) / (60 * (1 - np.exp(-0.9))), rel=1e-4)


def test_equal_models_transfer_everything_and_opposite_ones_nothing(linear, images):
    weight = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    models = [linear(weight), linear(weight), linear(-weight)]
    labels = (images.flatten(1) @ weight.T).argmax(1)
    found = transfers(models, images, labels, (0.1, 0.3), PerturbationBudget(0.1, 20), np.random.default_rng(0))

    assert found.clean.tolist() == [1, 1, 0]
    assert found.counts[1, 0, 0] > 0
    assert np.array_equal(found.counts[:, 0, 0], found.counts[:, 0, 1])
    assert (found.counts[:, :, 2] == 0).all()
    assert (np.diff(found.counts, axis=0) >= 0).all()
