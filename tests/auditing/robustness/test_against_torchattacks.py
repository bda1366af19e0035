"""The attacks against those of a maintained library, on the same network."""

import numpy as np
import pytest
import torch
from torch import nn

from auditing.robustness import attacks
from auditing.robustness.apgd import apgd
from auditing.robustness.ascent import of_mean_softmax
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import AttackedModel, Ensemble
from auditing.robustness.square import square
from simulator.core.flat_module import FlatModule
from simulator.core.normalizer import Normalizer
from simulator.models.small import CNN
from simulator.testing.network import of_images

torchattacks = pytest.importorskip("torchattacks")
EPS, STEPS = 6 / 255, 20


class OfShares(nn.Module):
    """The ensemble as the library wants it: images float [B, channels, height, width] from 0 to 1."""

    def __init__(self, ensemble):
        super().__init__()
        self.ensemble, self.own = ensemble, nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return self.ensemble.log_probabilities(255 * images.permute(0, 2, 3, 1))


@pytest.fixture(scope="module")
def trained():
    """An ensemble of one CNN trained on stripes, images and labels."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 4
    waves = torch.stack([((torch.arange(12) * (k + 1)) % 6).float() for k in range(4)])
    images = 110 + 5 * waves[labels][:, None, :, None] + 30 * torch.rand(64, 12, 12, 1, generator=rng)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FlatModule(CNN(CNN.Config(width=4)).build(*of_images((12, 12, 1), 4)))
    parameters, preparation = network.initial.clone(), Normalizer(torch.tensor([0.5]), torch.tensor([0.1]))
    network.bind(parameters)
    for _ in range(150):
        network.differentiate(nn.functional.cross_entropy(network.module(preparation.of_pixels(images)), labels))
        parameters.sub_(0.1 * network.gradient)
    network.module.eval()
    ensemble = Ensemble([AttackedModel(network, parameters, preparation)])
    assert ensemble.right(images, labels).double().mean() > 0.9
    return ensemble, images, labels


def theirs(attack, images, labels):
    return 255 * attack(images.permute(0, 3, 1, 2) / 255, labels).permute(0, 2, 3, 1)


def accuracy(ensemble, images, labels):
    return ensemble.right(images, labels).double().mean().item()


def test_fgsm_and_pgd_give_their_images(trained):
    ensemble, images, labels = trained
    budget, model = PerturbationBudget(EPS, STEPS, patient=True), OfShares(ensemble)
    fgsm = attacks.fgsm(ensemble, images, labels, budget, np.random.default_rng(0))
    start = attacks._climb(of_mean_softmax, ensemble, images, labels, budget, images, False)
    alpha = attacks.REACH * EPS / STEPS

    library = theirs(torchattacks.FGSM(model, eps=EPS), images, labels)
    assert (fgsm - library).abs().gt(0.01).double().mean() < 0.01
    library = theirs(torchattacks.PGD(model, eps=EPS, alpha=alpha, steps=STEPS, random_start=False), images, labels)
    assert (start - library).abs().gt(0.01).double().mean() < 0.02


def test_apgd_and_square_are_as_strong(trained):
    ensemble, images, labels = trained
    budget, model = PerturbationBudget(EPS, STEPS, queries=300), OfShares(ensemble)
    ours = apgd(ensemble, images, labels, budget, np.random.default_rng(0))
    library = theirs(torchattacks.APGD(model, eps=EPS, steps=STEPS, loss="ce", seed=0), images, labels)
    assert accuracy(ensemble, ours, labels) <= accuracy(ensemble, library, labels) + 0.05

    ours = square(ensemble, images, labels, budget, np.random.default_rng(0))
    library = theirs(torchattacks.Square(model, eps=EPS, n_queries=300, seed=0), images, labels)
    assert accuracy(ensemble, ours, labels) == pytest.approx(accuracy(ensemble, library, labels), abs=0.12)
