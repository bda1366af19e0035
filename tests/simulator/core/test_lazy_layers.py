"""Lazy layers get their shapes from samples, and what they begin with from the experiment's seed."""

import pytest
import torch
from reference.experiments import small
from torch import nn

from simulator.core.errors import InputError
from simulator.core.lazy_layers import give_shapes
from simulator.runs.build import Simulation
from simulator.testing import check_model


class Lazy(nn.Module):
    """Convolves without knowing how large images are."""

    def __init__(self, classes):
        super().__init__()
        self.net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))

    def forward(self, x):
        return self.net(x)


class Unused(Lazy):
    def __init__(self, classes):
        super().__init__(classes)
        self.other = nn.LazyLinear(3)


def begun(seed):
    with torch.random.fork_rng():
        torch.manual_seed(1000 - seed)  # of a notebook, for example
        return Simulation.of(small(f"seed={seed}", model=Lazy)).blueprint.module().initial


def test_lazy_layers_begin_as_the_seed_says():
    assert torch.equal(begun(0), begun(0))
    assert (begun(0) != begun(1)).all()
    check_model(Lazy, shape=(8, 8, 1))


def test_lazy_layers_that_get_no_shape_are_named():
    with pytest.raises(InputError, match=r"lazy parameter 'other\.weight' has no shape"):
        give_shapes(Unused(3), torch.rand(2, 1, 8, 8))
    with pytest.raises(InputError, match="first pass, which fails with RuntimeError"):
        give_shapes(Lazy(3), torch.rand(2, 1, 2, 2))


def test_making_shapes_moves_no_running_statistics():
    network = nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    give_shapes(network, torch.full((4, 3), 5.0))
    assert network[0].running_mean.tolist() == [0, 0, 0]
    assert network.training
