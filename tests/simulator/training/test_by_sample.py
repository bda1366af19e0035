"""Gradients sample by sample: what a method that combines them sees, under both trainers, and what has none."""

from dataclasses import replace

import pytest
import torch
from reference.network import Network, random_data, seeded, sgd
from torch import nn
from torch.nn.functional import cross_entropy

from simulator.core.errors import InputError, RunError
from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits
from simulator.models.small import CNN, MLP
from simulator.tasks.classification import Classification
from simulator.testing.network import of_images
from simulator.training.hooks import losses_by
from simulator.training.separable import check_layers, check_samples_apart
from simulator.training.sequential import Sequential
from simulator.training.stacked import Stacked
from topologies import Topology

MODELS = {
    "mlp": seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3))),
    "cnn": seeded(lambda: CNN(CNN.Config(width=3)).build(*of_images((8, 8, 1), 3))),
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
    for number in range(rounds):
        for node in network.nodes:
            node.finished = number
            with node.using(network.module):
                NodeProgram(node).begin()
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
        for image, target, row in zip(batch.inputs, batch.targets, rows, strict=True):
            module.differentiate(cross_entropy(module.module(image[None]), target[None]))
            torch.testing.assert_close(row, module.gradient, rtol=1e-9, atol=1e-12)


class ThroughTheModel(Method):
    """A loss with a gradient that belongs to no sample."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses + next(node.model.module.parameters()).square().sum()


class Sum(Method):
    """Adds gradients up without seeing them."""

    def weigh_gradients(self, node, batch, gradients):
        node.gradient.copy_(gradients.sum(torch.ones_like(gradients.norms())))


@TRAINERS
@pytest.mark.parametrize("method", [Mean, Sum])
def test_a_loss_that_differentiates_through_the_model_is_refused(trainer, method):
    with pytest.raises(RunError, match=r"differentiates through node\.model"):
        trained(trainer, "mlp", method, ThroughTheModel)


class Centred(nn.Module):
    """Takes the mean of the batch away, which no list of layers knows."""

    def forward(self, x):
        return x - x.mean(dim=0)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False, track_running_stats=False)])
def test_batch_normalisation_is_named_with_what_to_put_in_its_place(norm):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(norm, nn.ReLU()))
    with pytest.raises(InputError, match=r"model: 1\.0, BatchNorm2d\(4,[^\0]*Put GroupNorm\(4, 4,[^\0]*in its place"):
        check_layers(network)


def test_layers_of_batch_normalisation_are_told_together_and_each_by_name():
    network = nn.Sequential(nn.BatchNorm2d(4), nn.BatchNorm2d(8), nn.Sequential(nn.BatchNorm2d(8)))
    with pytest.raises(InputError, match=r"0, BatchNorm2d\(4.* mixes .*\. The same holds for 1, 2\.0\.\n") as told:
        check_layers(network)
    assert len(told.value.problems) == 1


class Recurrent(nn.Module):
    """Reads the rows of an image one after the other."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.last = layer, nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.layer(x[:, 0])[0][:, -1])


class Attention(nn.Module):
    """Lets the rows of an image attend to each other."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.layer, self.last = nn.MultiheadAttention(8, 2, dropout, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.layer(x[:, 0], x[:, 0], x[:, 0])[0].mean(dim=1))


class Functional(nn.Module):
    """Draws in its forward pass, where no list of layers shows it."""

    def forward(self, x):
        return nn.functional.dropout(x, 1e-9)


class Branch(nn.Module):
    """Looks at a value."""

    def forward(self, x):
        return x if x.sum().item() > 0 else -x


LAST = nn.Linear(64, 3)


@pytest.mark.parametrize(
    ("network", "what", "advice"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Dropout(0.2), LAST),
            r"1, Dropout\(p=0.2.*draws random",
            "set its probability to 0",
        ),
        (nn.Sequential(nn.Flatten(), nn.AlphaDropout(0.2), LAST), "1, AlphaDropout.*draws random", "take it out"),
        (nn.Sequential(nn.Flatten(), nn.RReLU(), LAST), "1, RReLU.*draws random", "take it out"),
        (Attention(0.1), "layer, MultiheadAttention, draws random", "set its probability to 0"),
        (
            nn.TransformerEncoderLayer(8, 2, 16),
            "self_attn, MultiheadAttention, draws random",
            "set its probability to 0",
        ),
        (Recurrent(nn.LSTM(8, 5, batch_first=True)), r"layer, LSTM\(8, 5.*cannot be vectorised", "nn.GRUCell"),
        (Recurrent(nn.GRU(8, 5, batch_first=True)), r"layer, GRU\(8, 5.*cannot be vectorised", "nn.GRUCell"),
        (nn.LSTMCell(8, 5), r"the network, LSTMCell\(8, 5.*cannot be vectorised", "nn.GRUCell"),
    ],
)
def test_layers_without_gradients_of_single_samples_are_named_with_why_and_what_to_do(network, what, advice):
    with pytest.raises(InputError, match=what) as refused:
        check_layers(network)
    assert advice in refused.value.problems[0].advice
    assert "atch normalisation" not in str(refused.value)


@pytest.mark.parametrize(
    ("layer", "what", "advice"),
    [
        (Functional(), "1, Functional.*draws random", "take it out"),
        (Branch(), r"1, Branch.*fails with RuntimeError.*\.item", "torch.func.vmap can run"),
        (nn.Dropout(0.5), "not give the same result twice", "take it out"),
    ],
)
def test_where_a_strangers_network_fails_sample_by_sample_is_named(layer, what, advice):
    network = FlatModule(nn.Sequential(nn.Flatten(), layer, LAST), "fp64")
    with pytest.raises(InputError, match=what) as refused:
        check_samples_apart(network, random_data(20))
    assert advice in refused.value.problems[0].advice
    assert not layer._forward_hooks


def test_what_is_switched_off_or_fits_after_all_passes():
    """Opacus refuses attention, which its hooks cannot see into; gradients here go through the forward pass itself."""
    for network in (Attention(), nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Linear(64, 3))):
        check_layers(network)
        check_samples_apart(FlatModule(network, "fp64"), random_data(20))


def test_batch_normalisation_at_rest_passes_where_it_has_statistics_to_rest_on():
    check_layers(nn.Sequential(nn.BatchNorm1d(64), nn.Dropout(0.5)).eval())
    with pytest.raises(InputError, match=r"0, BatchNorm1d.*mixes samples"):
        check_layers(nn.Sequential(nn.BatchNorm1d(64, track_running_stats=False)).eval())


def test_other_layers_are_fine():
    check_layers(nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4, 2)))


@pytest.mark.parametrize("precision", ["fp32", "fp64", "bf16"])
@pytest.mark.parametrize("model", MODELS)
def test_networks_that_see_samples_one_by_one_pass(model, precision):
    check_samples_apart(FlatModule(MODELS[model](), precision), random_data(20))


@pytest.mark.parametrize("layer", [Centred(), nn.BatchNorm1d(64, track_running_stats=False)])
def test_networks_in_which_samples_see_each_other_do_not(layer):
    network = nn.Sequential(nn.Flatten(), layer, nn.Linear(64, 3))
    with pytest.raises(InputError, match=r"depends on those beside it|1, BatchNorm1d.*fails with ValueError"):
        check_samples_apart(FlatModule(network, "fp64"), random_data(20))


class MeanOfBatch(Classification):
    """Divides by the mean loss of the batch, which is 1 where all samples' losses are alike."""

    def losses(self, outputs, targets):
        found = super().losses(outputs, targets)
        return found / found.detach().mean()


class AgainstMean(Classification):
    """Its value is that of a sample alone, its gradient is not."""

    def losses(self, outputs, targets):
        apart = (outputs - outputs.mean(0)).square().sum(1)
        return super().losses(outputs, targets) + apart - apart.detach()


def with_no_outputs_yet():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    return network


@pytest.mark.parametrize("network", [MODELS["mlp"], with_no_outputs_yet])
@pytest.mark.parametrize("task", [MeanOfBatch, AgainstMean])
def test_tasks_in_which_samples_see_each_other_do_not(task, network):
    data = random_data(20)
    data = replace(data, outputs=replace(data.outputs, task=task(Classification.Config())))
    with pytest.raises(InputError, match=r"task: a sample's loss, or its gradient, depends on the samples beside it"):
        check_samples_apart(FlatModule(network(), "fp64"), data)


class Shaped(Method):
    """Returns what is no loss a sample, though it can be averaged."""

    def __init__(self, made):
        super().__init__(PartSettings(name="shaped"))
        self.made = made

    def per_sample_loss(self, node, batch, logits, losses):
        return self.made(losses)


def test_a_method_is_given_the_losses_that_those_before_it_have_made():
    doubled, one_more = Shaped(lambda losses: 2 * losses), Shaped(lambda losses: losses + 1)
    assert losses_by([doubled, one_more], None, None, None, torch.ones(2)).tolist() == [3, 3]


class Functional(Method):
    """Returns a gradient instead of changing the node's."""

    def __init__(self):
        super().__init__(PartSettings(name="functional"))

    def before_step(self, node, batch):
        return 0 * node.gradient


@TRAINERS
def test_a_gradient_that_is_returned_and_would_be_lost_is_refused(trainer):
    with pytest.raises(RunError, match=r"(?s)before_step of functional returns Tensor, at node 0.*written to the node"):
        trained(trainer, "mlp", lambda _: Functional())


@TRAINERS
@pytest.mark.parametrize("by_sample", [False, True])
@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (lambda losses: losses * losses[:, None], r"\[5, 5\]"),
        (lambda losses: losses[:1], r"\[1\]"),
        (lambda losses: losses.mean(), r"\[\]"),
        (lambda losses: None, "NoneType"),
    ],
)
def test_a_loss_that_is_none_of_each_sample_is_refused(trainer, by_sample, made, shown):
    methods = [lambda _: Shaped(made), *([Mean] if by_sample else [])]
    with pytest.raises(
        RunError, match=rf"(?s)per_sample_loss of method shaped returns {shown}, at node 0 in.*each of the"
    ):
        trained(trainer, "mlp", *methods)


class OfSamples(Method):
    """Makes its losses of the step's logits and losses by a function of the node's, too."""

    def __init__(self, made):
        super().__init__(PartSettings(name="of_samples"))
        self.made, self.steps, self.last = made, 0, None

    def per_sample_loss(self, node, batch, logits, losses):
        node.log("of_samples/mean", losses.mean().item())
        self.steps, self.last = self.steps + 1, logits
        return self.made(node, batch, logits, losses)


class Watching(OfSamples):
    """Says that it watches losses alone."""

    @classmethod
    def traits(cls, config):
        return Traits(losses="watches")


@TRAINERS
@pytest.mark.parametrize("by_sample", [False, True])
def test_losses_that_are_changed_where_they_should_be_watched_are_refused(trainer, by_sample):
    for made in (lambda *given: given[-1], lambda *given: given[-1].clone()):
        trained(trainer, "mlp", lambda _, made=made: Watching(made), *([Mean] if by_sample else []))
    with pytest.raises(RunError, match=r"(?s)of_samples changes the losses, at node 0 in round 1, .* watches them"):
        trained(trainer, "mlp", lambda _: Watching(lambda *given: given[-1] * 2), *([Mean] if by_sample else []))


COUPLED = {
    "mean": lambda node, batch, logits, losses: losses / losses.detach().mean(),
    "rank": lambda node, batch, logits, losses: losses * (losses <= losses.median()),
    "targets": lambda node, batch, logits, losses: losses * (1 + batch.targets.float().mean()),
    "inputs": lambda node, batch, logits, losses: losses * (1 + batch.inputs.abs().mean()),
    "the gradient alone": lambda node, batch, logits, losses: losses + logits.mean() - logits.mean().detach(),
    "in round 3": lambda node, batch, logits, losses: losses / (losses.detach().mean() if node.round == 3 else 1),
}


@TRAINERS
@pytest.mark.parametrize("way", [Mean, Sum])
@pytest.mark.parametrize("made", COUPLED.values(), ids=COUPLED)
def test_losses_of_samples_that_depend_on_those_beside_them_are_refused(trainer, way, made):
    with pytest.raises(RunError, match=r"(?s)of of_samples, a sample's loss depends .*, and it declares row_wise"):
        trained(trainer, "mlp", lambda _: OfSamples(made), way, rounds=3)


@TRAINERS
@pytest.mark.parametrize("way", [Mean, Sum])
def test_looking_at_losses_leaves_methods_and_nodes_as_they_are(trainer, way):
    def made(node, batch, logits, losses):
        return losses * (1 + torch.from_numpy(node.rng("weights").random(len(batch)))) + 0.1 * logits.square().sum(1)

    for node in trained(trainer, "mlp", lambda _: OfSamples(made), way, rounds=3).nodes:
        assert node.methods[0].steps == len(node.metrics) == 3 * 2
