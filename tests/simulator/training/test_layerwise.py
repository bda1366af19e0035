"""Gradients of samples that are known layer by layer: equal to those written out, or written out where they are not."""

import pytest
import torch
from reference.experiments import small
from reference.marks import MANY
from reference.network import Network, random_data, seeded, sgd
from torch import nn

from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.models.resnet import EvoNormS0
from simulator.models.small import CNN, MLP
from simulator.models.transformer_text import TextNetwork
from simulator.runs.build import Simulation
from simulator.testing.network import of_images
from simulator.training.by_sample import BySample
from simulator.training.layer_gradients import RULES
from simulator.training.layerwise import NotLayerwiseError
from simulator.training.layerwise_trial import tried
from simulator.training.sequential import Sequential
from simulator.training.stacked import Stacked
from simulator.training.tensor_gradients import ManyProducts, ManyRows, OneProduct, Written, product
from simulator.training.written_out import WrittenOut
from topologies import Topology


class Text(nn.Module):
    """Reads the shades of an image as tokens."""

    def __init__(self):
        super().__init__()
        self.network = TextNetwork(9, 64, 3, layers=1, heads=2, width=8, causal=False)

    def forward(self, x):
        return self.network(x.flatten(1).abs().mul(4).clamp(max=8).long(), x.flatten(1) < 1)


class Sum(nn.Module):
    """Sums over rows of an image."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x[:, 0]).sum(dim=1)


NETWORKS = {
    "mlp": lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)),
    "cnn": lambda: CNN(CNN.Config(width=3)).build(*of_images((8, 8, 1), 3)),
    "group norm": lambda: CNN(CNN.Config(width=4, norm="group")).build(*of_images((8, 8, 1), 3)),
    "evonorm": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), EvoNormS0(4, groups=2), nn.Flatten(), nn.Linear(144, 3)),
    "text": Text,
    "many times": lambda: Sum(nn.Linear(8, 30), nn.LayerNorm(30), nn.ReLU(inplace=True), nn.Linear(30, 3, bias=False)),
    "windows": lambda: nn.Sequential(
        nn.Conv2d(1, 4, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(1, 0)),
        nn.Conv2d(4, 6, 3, groups=2, padding="same", padding_mode="reflect", bias=False),
        nn.PReLU(6),
        *(nn.Flatten(2), nn.Conv1d(6, 90, 3, stride=2), nn.ConvTranspose1d(90, 2, 2), nn.Flatten(), nn.Linear(24, 3)),
    ),
    "frozen in part": lambda: frozen(NETWORKS["cnn"]()),
}


def frozen(network):
    """All but the last layer and a bias."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in {"0.bias", "7.weight", "7.bias"})
    return network


@pytest.mark.parametrize(("precision", "tolerance"), [("fp64", 1e-11), ("fp32", 1e-5)])
@pytest.mark.parametrize("name", NETWORKS)
def test_norms_and_sums_are_those_of_gradients_written_out(name, precision, tolerance):
    module = FlatModule(seeded(NETWORKS[name])(), precision)
    parameters = [module.initial, 0.7 * module.initial, 1.1 * module.initial]
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(7, 1, 8, 8, generator=rng).to(module.dtype).contiguous(memory_format=torch.channels_last)
    target = torch.randn(7, 3, generator=rng).to(module.dtype)

    def gradients(way):
        return way.gradients(parameters, [4, 0, 3], images, lambda outputs: (outputs - target).square().sum())

    for own, rows in zip(gradients(tried(module, random_data(20))), gradients(WrittenOut(module)), strict=True):
        assert len(own) == len(rows)
        weights = torch.rand(rows.norms_by_tensor().shape, generator=rng).to(module.dtype)
        for mine, theirs in (
            (own.norms(), rows.norms()),
            (own.norms_by_tensor(), rows.norms_by_tensor()),
            (own.sum(weights[:, 0]), rows.sum(weights[:, 0])),
            (own.sum(weights), rows.sum(weights)),
        ):
            assert (mine - theirs).norm() <= tolerance * theirs.norm()
    assert not any("forward" in vars(layer) for layer in module.module.modules())


def test_of_both_ways_to_the_norms_of_a_product_the_cheaper_one_is_taken():
    ways = [
        product(torch.zeros(2, times, width), torch.zeros(2, times, height))
        for times, width, height in [(1, 9, 9), (2, 300, 200), (300, 9, 16)]
    ]
    assert [type(way) for way in ways] == [OneProduct, ManyProducts, Written]


def test_norms_hold_where_what_is_summed_cancels():
    """In float32, inner products would leave a norm of noise, and what is clipped by it would not be clipped."""
    rng = torch.Generator().manual_seed(0)
    x, outputs = torch.randn(2, 1, 20, generator=rng), torch.randn(2, 1, 30, generator=rng)
    inputs, signs = x.repeat(1, 2, 1), torch.tensor([1.0, -1.0])[:, None]
    gradients = ManyProducts(inputs, outputs * signs * torch.tensor([1.0, 1.0 + 1e-5])[:, None])
    exact = ((outputs * signs * torch.tensor([1.0, 1.0 + 1e-5])[:, None]).double().mT @ inputs.double()).flatten(1)

    torch.testing.assert_close(gradients.norms(), exact.norm(dim=1).float(), rtol=1e-5, atol=0)


def test_what_an_embedding_has_at_its_padding_has_no_gradient():
    layer, ids = nn.Embedding(5, 4, padding_idx=1, dtype=torch.float64), torch.tensor([[0, 1, 1, 3, 3]])
    gradient = torch.arange(20, dtype=torch.float64).view(1, 5, 4)
    layer(ids).backward(gradient)
    found = RULES[nn.Embedding](layer, ids, gradient)["weight"]
    assert isinstance(found, ManyRows)
    total = torch.empty_like(layer.weight)
    with torch.no_grad():
        found.sum(slice(0, 1), torch.ones(1, dtype=torch.float64), total)
    torch.testing.assert_close(total, layer.weight.grad)
    torch.testing.assert_close(found.norms()[0], layer.weight.grad.norm())


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.last = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 3)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.last(self.other(self.one(x.flatten(1)).relu()))


class Twice(nn.Module):
    """Applies a layer twice, as recurrent networks do."""

    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.GRUCell(8, 5), nn.Linear(5, 3)

    def forward(self, x):
        state = self.cell(x[:, 0, 0])
        return self.last(self.cell(x[:, 0, 1], state))


class Again(Twice):
    """The same with a layer that is given one array."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.cell(self.cell(x[:, 0, 0]).tanh()))


class Attention(nn.Module):
    """Uses a layer's weights without the layer."""

    def __init__(self):
        super().__init__()
        self.layer, self.last = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.layer(x[:, 0], x[:, 0], x[:, 0])[0].mean(dim=1))


class Loose(nn.Module):
    """Has a parameter that is in no layer."""

    def __init__(self):
        super().__init__()
        self.scale, self.last = nn.Parameter(torch.ones(64)), nn.Linear(64, 3)

    def forward(self, x):
        return self.last(x.flatten(1) * self.scale)


class RowsFirst(nn.Module):
    """Gives its layer the rows of images first, and samples after them."""

    def __init__(self):
        super().__init__()
        self.layer, self.last = nn.Linear(8, 5), nn.Linear(5, 3)

    def forward(self, x):
        rows = self.layer(x[:, 0, :5].transpose(0, 1))
        return self.last(rows.mean(dim=0))


WRITTEN_OUT = {
    "a shared weight": (Tied, "layers share the parameter one.weight"),
    "a recurrent cell": (Twice, r"cell, GRUCell\(8, 5\), fails with TypeError"),
    "a layer applied twice": (Again, "^cell is applied more than once"),
    "a weight without its layer": (Attention, "the parameter layer.in_proj_weight is used elsewhere than in a layer"),
    "a parameter in no layer": (Loose, "the parameter scale is used elsewhere than in a layer that has it alone"),
    "samples that are not first": (RowsFirst, "does not have samples in its first dimension"),
}


@pytest.mark.parametrize("case", WRITTEN_OUT)
def test_what_layers_do_not_tell_is_noticed(case):
    network, why = WRITTEN_OUT[case]
    with pytest.raises(NotLayerwiseError, match=why):
        tried(FlatModule(seeded(network)(), "fp64"), random_data(20))


class Weighing(Method):
    """Sums gradients by what their norms say, whole or tensor by tensor."""

    def __init__(self, by_tensor):
        super().__init__(None)
        self.by_tensor = by_tensor

    def weigh_gradients(self, node, batch, gradients):
        norms = gradients.norms_by_tensor() if self.by_tensor else gradients.norms()
        node.gradient.copy_(gradients.sum(1 / (0.1 + norms)))


class Combining(Weighing):
    """The same of gradients that are written out."""

    weigh_gradients = Method.weigh_gradients

    def combine_gradients(self, node, batch, gradients):
        if not self.by_tensor:
            node.gradient.copy_((gradients / (0.1 + gradients.norm(dim=1, keepdim=True))).sum(dim=0))
            return
        for view, rows in zip(node.model.views(node.gradient), node.model.views(gradients), strict=True):
            shape = (-1, *[1] * view.dim())
            view.copy_((rows / (0.1 + rows.flatten(1).norm(dim=1).view(shape))).sum(dim=0))


class Sampled(Method):
    """Draws batches of any length."""

    def setup(self, node):
        node.training_set.sample("poisson")


class Distorted(Method):
    """Weighs losses by logits, places in the training set, and what the model makes of half as bright images."""

    def per_sample_loss(self, node, batch, logits, losses):
        with torch.no_grad():
            dimmed = node.model.module(batch.inputs / 2)
        return losses * (1 + batch.positions / 10) + 0.1 * (node.id + 1) * (logits - dimmed).square().sum(dim=1)


def trained(trainer, network, *methods, batch_size=5):
    """Three nodes with training sets, and hence batches, of different lengths."""
    network = Network(
        Topology.build("ring", 3),
        seeded(network),
        [random_data(14 + 5 * i, seed=i) for i in range(3)],
        sgd(0.02, batch_size=batch_size, local_steps=3, momentum=0.9, weight_decay=0.1),
        methods=lambda i: [method() for method in methods],
    )
    network.trainer = trainer(network.module)
    for _ in range(2):
        for node in network.nodes:
            with node.using(network.module):
                NodeProgram(node).begin()
        network.trainer.train(network.nodes)
    return network


TRAINED = {name: NETWORKS[name] for name in ("mlp", "cnn", "group norm", "text")}
FALLEN_BACK = {case: network for case, (network, _) in WRITTEN_OUT.items()}


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of recurrent cells
@pytest.mark.parametrize(
    ("trainer", "by_tensor"),
    [
        (Sequential, False),
        (Stacked, True),
        *(pytest.param(*each, marks=MANY) for each in ((Sequential, True), (Stacked, False))),
    ],
)
@pytest.mark.parametrize("name", [*TRAINED, *FALLEN_BACK])
def test_weighing_trains_as_combining_does(name, trainer, by_tensor):
    network = (TRAINED | FALLEN_BACK)[name]
    one = trained(trainer, network, Sampled, Distorted, lambda: Weighing(by_tensor))
    other = trained(Sequential, network, Sampled, Distorted, lambda: Combining(by_tensor))

    assert BySample(one.module).writes_out(one.nodes[0]) == (name in FALLEN_BACK)
    torch.testing.assert_close(
        torch.from_numpy(one.parameters), torch.from_numpy(other.parameters), rtol=1e-9, atol=1e-11
    )
    for mine, theirs in zip(one.nodes, other.nodes, strict=True):
        assert mine.take_loss() == pytest.approx(theirs.take_loss(), rel=1e-9)


@pytest.mark.parametrize("trainer", [Sequential, Stacked])
def test_some_batches_or_all_may_be_empty(trainer):
    one = trained(trainer, NETWORKS["group norm"], Sampled, lambda: Weighing(True), batch_size=1)
    other = trained(Sequential, NETWORKS["group norm"], Sampled, lambda: Combining(True), batch_size=1)
    torch.testing.assert_close(
        torch.from_numpy(one.parameters), torch.from_numpy(other.parameters), rtol=1e-9, atol=1e-11
    )


def test_bfloat16_is_weighed_as_it_is_summed():
    """Norms and sums are of the same numbers, whichever way they were rounded before."""
    module = FlatModule(seeded(NETWORKS["cnn"])(), "bf16")
    (own,) = tried(module, random_data(20)).gradients(
        [module.initial], [1], torch.randn(1, 1, 8, 8), lambda outputs: outputs.float().square().sum()
    )
    assert own.sum(torch.ones(1)).norm() == pytest.approx(float(own.norms()[0]), rel=1e-5)


LOOSE = """
import torch
from torch import nn


class Loose(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.last = nn.Parameter(torch.ones(64)), nn.Linear(64, 10)

    def forward(self, x):
        return self.last(x.flatten(1) * self.scale)
"""


def test_a_run_tells_why_it_takes_longer(tmp_path):
    (tmp_path / "loose.py").write_text(LOOSE)

    def notes(**changes):
        experiment = small("data.partition=iid", methods=[{"name": "dp_sgd", "noise_multiplier": 1.0}], **changes)
        return [note for note in Simulation.of(experiment).info(tmp_path, 0).notes if "dp_sgd" in note]

    (note,) = notes(model=f"{tmp_path / 'loose.py'}:Loose")
    assert note.startswith(
        "steps of dp_sgd write out the gradient of each sample, which takes longer: the parameter sc"
    )
    assert not notes()
