"""Networks begin as the experiment's seed says, wherever they are made, or the run is refused."""

import random

import numpy as np
import pytest
import torch
from reference.experiments import small
from torch import nn

from simulator.core.errors import InputError
from simulator.core.model import Model
from simulator.runs.build import Simulation


class Biased(Model):
    """A linear layer with a bias that is made otherwise than by torch."""

    def number(self):
        return random.random() + np.random.rand()  # noqa: NPY002

    def build(self, inputs, outputs):
        layer = nn.Linear(64, outputs.width)
        nn.init.constant_(layer.bias, self.number())
        return nn.Sequential(nn.Flatten(), layer)


class Unseeded(Biased):
    def number(self):
        return float(np.random.default_rng().random())


def begun(seed):
    random.seed(seed)  # which counts for nothing
    np.random.seed(seed)  # noqa: NPY002
    return Simulation.of(small(f"seed={seed % 2}", model={"name": "biased"})).blueprint.nodes([0])[0].parameters


def test_what_comes_from_a_global_generator_begins_as_the_seed_says(register):
    register("models", "biased", Biased)
    assert torch.equal(begun(0), begun(2))
    assert begun(0)[-1] != begun(1)[-1]


def test_what_begins_otherwise_each_time_it_is_made_is_refused(register):
    register("models", "biased", Unseeded)
    with pytest.raises(InputError, match=r"model: the network begins otherwise each time(.|\n)*default_rng\(0\)"):
        begun(0)
