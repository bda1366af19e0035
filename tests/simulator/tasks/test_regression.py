"""Scores of `regression` against scikit-learn, losses against plain torch, and quantities that do not vary."""

import numpy as np
import pytest
import torch
from reference.tasks import drawn
from sklearn import metrics as sklearn
from torch.nn import functional

from simulator.tasks.regression import Regression

LOSSES = {
    "mse": lambda f, y: (f - y) ** 2,
    "mae": lambda f, y: (f - y).abs(),
    "huber": lambda f, y: functional.smooth_l1_loss(f, y, reduction="none", beta=1.0),
    "poisson": lambda f, y: f.exp() - y * f,
}


def scored(outputs, targets, **settings):
    task = Regression(**settings)
    sums = task.statistics(outputs, targets)
    return task.metrics(sums), task.undefined(sums, ("height", "weight")[: outputs.shape[1]])


@pytest.mark.parametrize("loss", ["mse", "poisson"])
def test_scores_are_those_of_scikit_learn(loss):
    outputs, targets, _ = drawn("regression poisson" if loss == "poisson" else "regression", 300)
    found, why = scored(outputs, targets, loss=loss)
    y, predicted = targets.double().numpy(), outputs.double().numpy()
    predicted = np.exp(predicted) if loss == "poisson" else predicted

    assert why == {}
    assert found["rmse"] == pytest.approx(sklearn.root_mean_squared_error(y, predicted))
    assert found["mae"] == pytest.approx(sklearn.mean_absolute_error(y, predicted))
    assert found["r2"] == pytest.approx(sklearn.r2_score(y, predicted))


def test_scores_are_those_of_torchmetrics(torchmetrics):
    outputs, targets, _ = drawn("regression", 300)

    expected = torchmetrics.r2_score(outputs, targets).item()
    assert scored(outputs, targets)[0]["r2"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_gradients_are_those_of_the_formula(loss):
    outputs, targets, _ = drawn("regression poisson" if loss == "poisson" else "regression", 30)
    task, formula = Regression(loss=loss), LOSSES[loss]

    torch.testing.assert_close(task.losses(outputs, targets), formula(outputs, targets).mean(dim=1))
    gradient = torch.func.grad(lambda outputs: task.losses(outputs, targets).sum())(outputs)
    expected = torch.func.grad(lambda outputs: formula(outputs, targets).sum() / 2)(outputs)
    torch.testing.assert_close(gradient, expected)


def test_the_delta_of_huber_is_where_it_becomes_linear():
    losses = Regression(loss="huber", delta=2.0).losses(torch.tensor([[1.0], [5.0]]), torch.zeros(2))

    assert losses.tolist() == [0.5, 2 * (5 - 1)]


def test_targets_may_be_one_number_a_sample_and_whole():
    outputs = torch.tensor([[1.0], [4.0]])

    assert Regression().losses(outputs, torch.tensor([3, 4])).tolist() == [4, 0]
    assert scored(outputs, torch.tensor([3, 4]))[0]["rmse"] == pytest.approx(2**0.5)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_the_variance_of_targets_that_are_all_the_same_is_not_explained(value):
    found, why = scored(torch.randn(1000, 1), torch.full((1000,), value))

    assert set(found) == {"rmse", "mae", "loss"}
    assert why == {"r2": "all samples have the same target"}


def test_small_differences_of_large_targets_are_a_variance():
    targets = 1e6 + torch.arange(100, dtype=torch.float64)

    assert scored(targets[:, None] + 1, targets)[0]["r2"] == pytest.approx(1 - 12 / (100**2 - 1), rel=1e-4)


def test_a_quantity_that_does_not_vary_is_left_out_by_name():
    outputs, targets, _ = drawn("regression", 40)
    targets[:, 1] = 0.3
    found, why = scored(outputs, targets)

    assert why == {"r2/weight": "all samples have the same target"}
    assert found["r2"] == pytest.approx(scored(outputs[:, :1], targets[:, :1])[0]["r2"])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_baseline_is_the_mean_and_explains_nothing(loss):
    _, targets, _ = drawn("regression poisson" if loss == "poisson" else "regression", 100)
    constant = Regression(loss=loss).baseline(targets, 2).expand(100, 2)
    found, _ = scored(constant, targets, loss=loss)

    assert found["r2"] == pytest.approx(0, abs=1e-12)
    assert found["rmse"] == pytest.approx(targets.double().std(dim=0, correction=0).mean().item())


def test_counts_that_are_all_0_have_a_finite_baseline():
    assert Regression(loss="poisson").baseline(torch.zeros(5), 1).isfinite().all()
