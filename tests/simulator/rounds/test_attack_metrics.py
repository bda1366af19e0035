"""What is said of attacks, of honest nodes that were measured."""

import pytest
import torch

from simulator.core.backend import Evaluation
from simulator.rounds.attack_metrics import attack_metrics


def measured(weight, largest, scores):
    found = {"attack/weight": weight, "attack/largest_weight": largest}
    return Evaluation(scores, None, torch.zeros(2), found, moved=torch.tensor([weight, 0.0]))


HONEST = {0: measured(0.1, 0.2, {"accuracy": 0.5}), 2: measured(0.3, 0.9, {"accuracy": 0.7}), 3: measured(0.2, 0.2, {})}
FOUND = dict(attack_metrics(HONEST, {0: 1, 2: 1, 3: 2}, "accuracy"))


def test_weights_are_means_over_nodes_and_the_largest_is_that_of_the_worst():
    assert FOUND["attack/weight"] == pytest.approx(0.2)
    assert FOUND["attack/largest_weight"] == 0.9


def test_drift_is_the_length_of_the_mean_move():
    assert FOUND["honest/drift"] == pytest.approx(0.2)


def test_where_nobody_at_a_distance_has_a_common_test_set_nothing_is_said_of_it():
    assert FOUND["test/accuracy/at_distance_1"] == pytest.approx(0.6)
    assert "test/accuracy/at_distance_2" not in FOUND
