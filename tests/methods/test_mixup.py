"""MixUp against its formula, and what it cannot go together with."""

import pytest
import torch
from reference.experiments import small
from reference.network import Network, random_data, seeded, sgd
from torch.nn.functional import cross_entropy, one_hot

from methods.mixup import MixUp
from simulator.core.errors import InputError
from simulator.models.small import MLP
from simulator.testing.network import of_images
from topologies import Topology


def build():
    return MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))


def test_training_is_plain_sgd_on_mixed_images_with_mixed_targets():
    data, training = random_data(samples=24), sgd(0.3, batch_size=8, local_steps=3)
    methods = [MixUp(MixUp.Config(alpha=0.7))]
    network = Network(Topology.build("complete", 1), seeded(build), data, training, methods=lambda node: methods)
    module = seeded(build)().double()
    optimizer, node = torch.optim.SGD(module.parameters(), lr=0.3), network.nodes[0]
    for round in range(2):
        rng, order = node.rng("mixup", round), torch.from_numpy(node.rng("batches", round).permutation(24))
        for rows in order.split(8):
            share, partner = rng.beta(0.7, 0.7), torch.from_numpy(rng.permutation(8))
            images = node.data.preparation(data.train.inputs_at(rows), torch.float64)
            targets = one_hot(data.train.targets_at(rows), 3).double()
            mixed, wanted = (share * part + (1 - share) * part[partner] for part in (images, targets))
            optimizer.zero_grad()
            cross_entropy(module(mixed), wanted).backward()
            optimizer.step()
        network.round()
    flat = torch.cat([parameter.detach().flatten() for parameter in module.parameters()])

    torch.testing.assert_close(node.parameters, flat, rtol=1e-10, atol=1e-12)


def test_it_is_refused_where_each_sample_needs_a_gradient_of_its_own(register):
    class Combines(MixUp):
        def combine_gradients(self, node, batch, gradients):
            node.gradient.copy_(gradients.mean(dim=0))

    register("methods", "combines", Combines)
    with pytest.raises(InputError, match="the loss that mixup gives a sample has no gradient of its own"):
        small(methods=[{"name": "mixup"}, {"name": "combines"}])


def test_alpha_is_not_negative():
    with pytest.raises(InputError, match="greater than or equal to 0"):
        small(methods=[{"name": "mixup", "alpha": -0.1}])
