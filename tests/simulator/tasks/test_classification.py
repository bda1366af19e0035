"""Scores of `classification` are, to the last bit, what plain torch says in double precision."""

import pytest
import torch
from reference.tasks import drawn
from torch.nn.functional import cross_entropy

from simulator.tasks.classification import Classification

TASK = Classification()


@pytest.mark.parametrize("samples", [1, 7, 60, 997])
def test_scores_are_those_of_plain_torch(samples):
    outputs, targets, _ = drawn("classification", samples)
    found = TASK.metrics(TASK.statistics(outputs, targets))

    assert found["accuracy"] == (outputs.argmax(dim=1) == targets).sum().item() / samples
    assert found["loss"] == cross_entropy(outputs.double(), targets).item()


def test_the_margin_is_the_lead_over_the_best_other_class():
    outputs = torch.tensor([[3.0, 1.0, 0.0], [0.0, 5.0, 1.0]])

    assert TASK.margins(outputs, torch.tensor([0, 2])).tolist() == [2, -4]


def test_the_baseline_is_right_as_often_as_the_most_common_class():
    _, targets, _ = drawn("classification", 60)
    constant = TASK.baseline(targets, 4).expand(60, 4)

    assert TASK.metrics(TASK.statistics(constant, targets))["accuracy"] == targets.bincount().max().item() / 60
