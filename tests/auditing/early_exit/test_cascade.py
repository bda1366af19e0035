"""Leaving early, on a table small enough to read."""

import numpy as np

from auditing.early_exit.cascade import combined, curve, leave
from auditing.early_exit.findings import BUDGETS, SINGLE, WISE, Measured, at, of_node, over_nodes
from auditing.early_exit.ledger import Costs

# Two exits; the first is sure of samples 0 and 1, and right about 0 alone.
TABLE = np.log([[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [[0.7, 0.3], [0.7, 0.3], [0.6, 0.4]]])
LABELS = np.array([0, 0, 0])


def test_a_sample_leaves_at_the_first_sure_exit_else_at_the_last():
    assert leave(TABLE, 0.0).tolist() == [0, 0, 0]
    assert leave(TABLE, 0.75).tolist() == [0, 0, 1]
    assert leave(TABLE, 0.85).tolist() == [0, 1, 1]
    assert leave(TABLE, np.inf).tolist() == [1, 1, 1]


def test_the_curve_pays_for_wrong_answers_too():
    cost, accuracy = curve(TABLE, LABELS, np.array([10, 40]))
    assert (cost[0], accuracy[0]) == (10, 2 / 3)  # sample 1 is wrong, and paid for
    assert (cost[-1], accuracy[-1]) == (40, 1)
    assert (np.diff(cost) >= 0).all()


def test_combining_is_a_weighted_sum_of_what_was_passed():
    found = combined(np.array([[2.0, 0.0], [1.0, -1.0]]), TABLE)
    np.testing.assert_allclose(found[0], 2 * TABLE[0])
    np.testing.assert_allclose(found[1], TABLE[0] - TABLE[1])


def test_accuracy_at_a_budget_is_that_of_the_costliest_point_within():
    cost, accuracy = np.array([1.0, 2.0, 4.0]), np.array([0.5, 0.7, 0.6])
    assert at(cost, accuracy, 3.0) == 0.7
    assert at(cost, accuracy, 4.0) == 0.6
    assert np.isnan(at(cost, accuracy, 0.5))


def test_where_no_exit_fits_the_budget_there_is_no_best_single_one():
    costs, zeros = Costs(np.array([30, 70]), np.array([0, 0]), stages=2), np.zeros(4, dtype=np.int64)
    right = np.tile([1.0, 0.0], (2, 4, 1))
    found = of_node(Measured(right, zeros, right, zeros), costs, 0.01)

    for name in (SINGLE, WISE):
        expected = [np.nan if share < 0.3 else 1.0 for share in BUDGETS]
        np.testing.assert_array_equal(found[f"{name}/at"], expected)
    assert over_nodes([found, found])[f"{SINGLE}/at"]["mean"] == [None, None, 1.0, 1.0, 1.0]
    assert found["weightless"].tolist() == [0, 0]
    assert of_node(Measured(right, zeros, right, zeros), costs, 3.0)["weightless"].tolist() == [1, 1]


def test_the_best_single_exit_is_chosen_on_validation_samples_and_within_the_budget():
    costs = Costs(np.array([10, 90]), np.array([0, 0]), stages=2)
    validation = np.array([[[0, 1.0]] * 4, [[1.0, 0]] * 4])  # exit 2 is right there
    test = np.array([[[1.0, 0]] * 4, [[0, 1.0]] * 4])  # exit 1 is right here
    zeros = np.zeros(4, dtype=np.int64)
    found = of_node(Measured(validation, zeros, test, zeros), costs, 0.01)
    assert found["exits"].tolist() == [1, 0]
    assert found[f"{SINGLE}/at"].tolist() == [1.0 if share < 1 else 0.0 for share in BUDGETS]
    assert found["weights"][0] <= 0 < found["weights"][1]
    assert found[f"{WISE}/prefix"][-1] == 0
