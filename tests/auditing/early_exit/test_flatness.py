"""Flatness, where the Hessian is known."""

import numpy as np
import pytest
import torch
from reference.multi_exit import NETWORK, samples
from torch import nn

from auditing.early_exit.flatness import flatness
from simulator.core.multi_exit import MultiExit


class Line(MultiExit):
    """Logits (w x, 0) of the first pixel x."""

    modalities, stages = ("only",), 1

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[weight]], dtype=torch.float64))

    def final(self, images, modality):
        score = images.flatten(1)[:, :1] @ self.weight
        return torch.cat([score, torch.zeros_like(score)], dim=1)

    def walk(self, images, modality):
        yield self.final(images, modality)

    def internal_parameters(self):
        return frozenset()


def measured(network, images, labels, modality="only", **settings):
    return flatness(network, modality, images, labels, np.random.default_rng(0), **settings)


def test_one_weight_by_hand():
    """The Hessian is mean x^2 p (1 - p); its weight is scaled by itself. One probe is exact."""
    x, w = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64), 0.7
    found = measured(Line(w), x.view(3, 1, 1, 1), torch.tensor([0, 1, 0]), probes=1)
    p = torch.sigmoid(w * x)
    assert found.trace == pytest.approx((w**2 * x**2 * p * (1 - p)).mean().item(), rel=1e-10)
    assert found.loss == pytest.approx(-torch.stack([p[0], 1 - p[1], p[2]]).log().mean().item())


def test_it_is_per_sample_and_the_same_for_the_same_probes():
    network, data = NETWORK().double(), samples()
    rows = torch.arange(6)
    images, labels = data.preparation(data.train.inputs_at(rows), torch.float64), data.train.targets_at(rows)
    once, again = (measured(network, images, labels, "mv") for _ in range(2))
    assert once == again
    twice = measured(network, torch.cat([images, images]), torch.cat([labels, labels]), "mv")
    assert twice.trace == pytest.approx(once.trace, rel=1e-9)


def test_scaling_weights_before_a_normalisation_makes_nothing_flatter():
    network, data = NETWORK().double(), samples()
    for norm in network.modules():
        if isinstance(norm, nn.GroupNorm):
            norm.eps = 0.0
    rows = torch.arange(6)
    images, labels = data.preparation(data.train.inputs_at(rows), torch.float64), data.train.targets_at(rows)
    before = measured(network, images, labels, "mv").trace
    with torch.no_grad():
        network.streams["mv"].stages[0][0].weight.mul_(10)
    assert measured(network, images, labels, "mv").trace == pytest.approx(before, rel=1e-6)
