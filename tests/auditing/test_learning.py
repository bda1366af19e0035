"""Networks that an audit trains itself."""

import torch
from torch import nn

from auditing.learning import RATE, Adam
from simulator.core.flat_module import FlatModule


def test_adam_is_that_of_torch_bit_by_bit():
    torch.manual_seed(0)
    inputs, network = torch.randn(20, 4), FlatModule(nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)))
    start = network.initial.clone()
    theirs = start.clone().requires_grad_()
    adam, expected = Adam(network), torch.optim.Adam([theirs], RATE)
    for _ in range(30):
        network.differentiate(network.module(inputs).square().sum())
        theirs.grad = network.gradient.clone()
        adam.step()
        expected.step()
    assert torch.equal(network.bound, theirs.detach())
    assert not torch.equal(network.bound, start)
