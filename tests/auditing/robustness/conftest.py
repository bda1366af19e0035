"""Linear models of which everything is known: class 1 wins where the weighted pixels exceed a threshold."""

import pytest
import torch
from torch import nn

from auditing.robustness.ensemble import AttackedModel
from simulator.core.flat_module import FlatModule
from simulator.core.normalizer import Normalizer


class Linear(nn.Module):
    def __init__(self, pixels, classes):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, pixels))

    def forward(self, images):
        return images.flatten(1) @ self.weight.T


@pytest.fixture
def linear():
    """``linear(weight, transform)``: a model with the logits of ``weight`` (float [classes, pixels])."""

    def build(weight, transform=None):
        network = FlatModule(Linear(weight.shape[1], weight.shape[0]))
        network.module.eval()
        return AttackedModel(network, weight.float().flatten(), Normalizer(torch.zeros(1), torch.ones(1), transform))

    return build


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images(rng):
    """float [12, 4, 4, 1], pixels."""
    return torch.randint(0, 256, (12, 4, 4, 1), generator=rng).float()
