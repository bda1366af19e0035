"""Scores and the consensus distance, against their definitions."""

import numpy as np
import pytest
import torch
from reference.network import random_data, seeded
from torch.nn.functional import cross_entropy

from simulator.core.flat_module import FlatModule
from simulator.models.small import MLP
from simulator.testing.network import of_images
from simulator.training import evaluation
from simulator.training.evaluation import consensus, evaluate


def test_the_consensus_distance_is_the_root_mean_square_distance_from_the_mean():
    # rows (0, 0), (2, 0), (4, 6): mean (2, 2); squared distances 8, 4, 20; mean 32 / 3
    mean, distance = consensus(torch.tensor([[0.0, 0], [2, 0], [4, 6]]))

    assert mean.tolist() == [2, 2]
    assert distance == pytest.approx((32 / 3) ** 0.5, rel=1e-15)


def test_the_consensus_distance_of_equal_nodes_is_zero():
    assert consensus(torch.tensor([[1.5, -2.0]] * 4))[1] == 0


def test_the_consensus_distance_ignores_where_the_mean_is():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 7)))

    assert consensus(rows + 100)[1] == pytest.approx(consensus(rows)[1], rel=1e-12)


def test_the_mean_of_many_models_is_taken_piece_by_piece(monkeypatch):
    rows = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0))
    mean, distance = consensus(list(rows))
    monkeypatch.setattr(evaluation, "AT_ONCE", 50 * 8 * 100)
    piecewise, found = consensus(list(rows))

    assert torch.equal(mean, rows.mean(dim=0))
    assert torch.equal(piecewise, mean)
    assert found == pytest.approx(distance, rel=1e-14)


def test_a_score_is_the_share_of_right_answers_and_the_mean_cross_entropy():
    data, network = random_data(), seeded(lambda: MLP(MLP.Config()).build(*of_images((8, 8, 1), 3)))().double()
    rows = torch.arange(len(data.test))
    with torch.no_grad():
        logits = network(data.preparation(data.test.inputs_at(rows), torch.float64))
    labels = data.test.targets_at(rows)
    module = FlatModule(network, "fp64")
    score = evaluate(module, module.initial, data.test, data)

    assert score["accuracy"] == np.mean([row.argmax() == label for row, label in zip(logits, labels, strict=True)])
    assert score["loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-12)
