"""Gradients sample by sample: what a method that combines them sees, under both trainers, and what has none."""

import pytest
import torch
from reference.network import Network, random_data, seeded, sgd
from torch import nn
from torch.nn.functional import cross_entropy

from simulator.core.errors import InputError, RunError
from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.models.small import CNN, MLP
from simulator.training.separable import check_layers, check_samples_apart
from simulator.training.sequential import Sequential
from simulator.training.stacked import Stacked
from topologies import Topology

MODELS = {
    "mlp": seeded(lambda: MLP(MLP.Config(hidden=(7,))).build((8, 8, 1), 3)),
    "cnn": seeded(lambda: CNN(CNN.Config(width=3)).build((8, 8, 1), 3)),
}
TRAINERS = pytest.mark.parametrize("trainer", [Sequential, Stacked])


class Mean(Method):
    """Combines gradients to what they are by default, and keeps them."""

    def combine_gradients(self, node, batch, gradients):
        self.batch, self.gradients = batch, gradients.clone()
        node.gradient.copy_(gradients.mean(dim=0))


class Weighted(Method):
    """Weighs each sample's loss by its place in the training set and its logits."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses * (1 + batch.positions / 10) + 0.1 * (node.id + 1) * logits.square().sum(dim=1)


def trained(trainer, model, *methods, rounds=1, **training):
    data = [random_data(20, seed=seed) for seed in range(3)]
    settings = sgd(0.1, **{"batch_size": 5, "local_steps": 2, **training})
    network = Network(
        Topology.build("ring", 3), MODELS[model], data, settings, methods=lambda i: [method(None) for method in methods]
    )
    network.trainer = trainer(network.module)
    for _ in range(rounds):
        for node in network.nodes:
            with node.using(network.module):
                node.begin()
        network.trainer.train(network.nodes)
    return network


@TRAINERS
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "optimizer", [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}], ids=["sgd", "more"]
)
def test_their_mean_trains_as_without_them(trainer, model, optimizer):
    one = trained(trainer, model, Mean, Weighted, rounds=3, **optimizer)
    other = trained(Sequential, model, Weighted, rounds=3, **optimizer)

    torch.testing.assert_close(
        torch.from_numpy(one.parameters), torch.from_numpy(other.parameters), rtol=1e-9, atol=1e-11
    )
    for mine, theirs in zip(one.nodes, other.nodes, strict=True):
        assert mine.take_loss() == pytest.approx(theirs.take_loss(), rel=1e-9)


@TRAINERS
@pytest.mark.parametrize("model", MODELS)
def test_each_row_is_the_gradient_of_one_sample(trainer, model):
    network = trained(trainer, model, Mean, local_steps=1)
    module = network.module
    module.bind(module.initial)
    for node in network.nodes:
        batch, rows = node.methods[0].batch, node.methods[0].gradients
        for image, target, row in zip(batch.images, batch.targets, rows, strict=True):
            module.differentiate(cross_entropy(module.module(image[None]), target[None]))
            torch.testing.assert_close(row, module.gradient, rtol=1e-9, atol=1e-12)


class ThroughTheModel(Method):
    """A loss with a gradient that belongs to no sample."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses + next(node.model.module.parameters()).square().sum()


@TRAINERS
def test_a_loss_that_differentiates_through_the_model_is_refused(trainer):
    with pytest.raises(RunError, match=r"differentiates through node\.model"):
        trained(trainer, "mlp", Mean, ThroughTheModel)


class Centred(nn.Module):
    """Takes the mean of the batch away, which no list of layers knows."""

    def forward(self, x):
        return x - x.mean(dim=0)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False, track_running_stats=False)])
def test_batch_normalisation_is_named_with_what_to_put_in_its_place(norm):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(norm, nn.ReLU()))
    with pytest.raises(InputError, match=r"model: 1\.0, BatchNorm2d\(4,[^\0]*Put GroupNorm\(4, 4,[^\0]*in its place"):
        check_layers(network)


def test_other_layers_are_fine():
    check_layers(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4, 2)))


@pytest.mark.parametrize("precision", ["fp32", "fp64", "bf16"])
@pytest.mark.parametrize("model", MODELS)
def test_networks_that_see_samples_one_by_one_pass(model, precision):
    check_samples_apart(FlatModule(MODELS[model](), precision), random_data(20))


@pytest.mark.parametrize("layer", [Centred(), nn.BatchNorm1d(64, track_running_stats=False)])
def test_networks_in_which_samples_see_each_other_do_not(layer):
    network = nn.Sequential(nn.Flatten(), layer, nn.Linear(64, 3))
    with pytest.raises(InputError, match=r"depends on those beside it|fails when samples are run one by one"):
        check_samples_apart(FlatModule(network, "fp64"), random_data(20))
