"""Stacked training against sequential training: the same numbers, whatever nodes, models and methods do."""

from typing import ClassVar

import pytest
import torch
from reference.experiments import nodes_of, small
from reference.marks import MANY, first
from reference.network import random_data, seeded, sgd
from torch import nn
from torch.nn.functional import cross_entropy

from simulator import run
from simulator.core.errors import InputError, RunError
from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.core.model import Model
from simulator.core.node import Node, SharedSettings
from simulator.core.node_program import NodeProgram
from simulator.core.place import Place
from simulator.core.registry import PartSettings
from simulator.mixers.gossip import Gossip
from simulator.models.resnet import ResNet20
from simulator.models.small import CNN, MLP
from simulator.testing.network import of_images
from simulator.training.rows import rows_of
from simulator.training.sequential import Sequential
from simulator.training.stackable import obstacle
from simulator.training.stacked import Stacked
from simulator.training.stacked_module import StackedModule

UNEQUAL = {"nodes": {1: {"batch_size": 5}, 2: {"local_steps": 3}, 3: {"lr": 0.05}}}
CASES = {
    "plain": {},
    "decay": {"training": {"optimizer": {"lr": 0.1, "weight_decay": 0.01}}},
    "momentum": {"training": {"optimizer": {"lr": 0.05, "momentum": 0.9}, "local_steps": 2}},
    "nesterov": {"training": {"optimizer": {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.001}}},
    "unequal": {"training": UNEQUAL | {"optimizer": {"lr": 0.1, "momentum": 0.9}}},
    "failures": {
        "topology": {"graph": "ring", "nodes": 4, "failures": {"nodes": 0.3}},
        "training": {"optimizer": {"lr": 0.1, "momentum": 0.5}},
    },
    "augmentation": {"data": {"augment": {"crop": 1, "flip": True}}},
    "cnn": {"model": {"name": "cnn", "width": 2}, "training": UNEQUAL},
    "quasi_global_momentum": {"methods": [{"name": "quasi_global_momentum"}], "training": {"optimizer": {"lr": 0.1}}},
    "gradient_tracking": {"methods": [{"name": "gradient_tracking"}], "training": {"local_steps": 2}},
    "global_update_tracking": {
        "methods": [{"name": "global_update_tracking", "mu": 0.1, "beta": 0.8}],
        "training": {"local_steps": 2, "optimizer": {"lr": 0.1}},
    },
    "d2": {"methods": [{"name": "d2"}], "topology": {"graph": "ring", "nodes": 4, "weights": "lazy"}},
    "saddle": {
        "methods": [{"name": "saddle", "rho": 0.5}, {"name": "quasi_global_momentum"}],
        "training": {"local_steps": 2, "optimizer": {"lr": 0.1, "weight_decay": 0.01}},
    },
    "idkd": {"methods": [{"name": "idkd", "first_round": 2, "every": 3}]},
}


def trained(path, trainer, rounds=50, **changes):
    """The finished run with ``changes`` to the small experiment."""
    training = {"batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.1}, **changes.pop("training", {})}
    data = {**small().to_dict()["data"], **changes.pop("data", {})}
    experiment = small(rounds=rounds, training={**training, "trainer": trainer}, data=data, **changes)
    return run(experiment, path / trainer)


def distance(one, other):
    """Relative, between the parameters of two runs."""
    a, b = (torch.stack([node.parameters for node in done.nodes]).double() for done in (one, other))
    return ((a - b).norm() / a.norm()).item()


BY_HAND = ("plain", "decay", "momentum")  # nesterov and unequal bring them
SLOW = ("augmentation", "gradient_tracking", "global_update_tracking", "d2", "quasi_global_momentum")


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=MANY if case in BY_HAND else pytest.mark.slow if case in SLOW else ()) for case in CASES],
)
def test_eight_rounds_are_those_of_sequential_training(case, tmp_path):
    sequential, stacked = (trained(tmp_path, trainer, 8, **CASES[case]) for trainer in ("sequential", "stacked"))

    assert distance(sequential, stacked) < 1e-10
    for one, other in zip(sequential.metrics(), stacked.metrics(), strict=True):
        assert (one.round, one.node, one.name) == (other.round, other.node, other.name)
        assert one.value == pytest.approx(other.value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("model", first([{"name": "mlp"}, {"name": "cnn", "width": 4}]), ids=["mlp", "cnn"])
def test_single_precision_agrees_within_a_ten_thousandth(model, tmp_path):
    training = {"precision": "fp32", "optimizer": {"lr": 0.05, "momentum": 0.9}}
    sequential, stacked = (trained(tmp_path, t, model=model, training=training) for t in ("sequential", "stacked"))

    assert distance(sequential, stacked) < 1e-4


def test_bf16_forward_passes_stay_close(tmp_path):
    sequential, stacked = (
        trained(tmp_path, trainer, rounds=5, training={"precision": "bf16"}) for trainer in ("sequential", "stacked")
    )

    assert 0 < distance(sequential, stacked) < 0.01


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("norm", ["group", "evonorm"])
def test_a_step_of_resnet20(norm, nodes):
    build = seeded(lambda: ResNet20(ResNet20.Config(norm=norm)).build(*of_images((8, 8, 3), 3)))
    data = [random_data(12, (8, 8, 3), seed=seed) for seed in range(nodes)]
    found = [step(trainer, build, data, sgd(0.1, batch_size=4)) for trainer in (Sequential, Stacked)]

    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-10)


def members(module, data, training, methods=lambda node: []):
    """Nodes that stand apart, each with its vector in memory of its own."""
    shared = SharedSettings(0, len(data), 10, training)
    return [
        Node(Place(i, {i: 1.0}, ()), shared, held, module.initial.clone(), Gossip(Gossip.Config()), methods(i))
        for i, held in enumerate(data)
    ]


def step(trainer, build, data, training, methods=lambda node: []):
    """float [nodes, parameters] after one round of training; test losses go along."""
    module = FlatModule(build(), "fp64")
    runner, nodes = trainer(module), members(module, data, training, methods)
    for node in nodes:
        NodeProgram(node).begin()
    runner.train(nodes)
    scores = torch.tensor([[score["loss"], node.take_loss()] for score, node in zip(runner.evaluate(nodes), nodes)])  # noqa: B905
    return torch.cat([torch.stack([node.parameters for node in nodes]), scores.double()], dim=1)


MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))
DATA = [random_data(20, seed=seed) for seed in range(3)]


class Hooked(Method):
    """Weighs losses by sample and logit, and changes the gradient by batch, parameters and gradient."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses * (1 + batch.positions / 10) + 0.1 * (node.id + 1) * logits.square().sum(dim=1)

    def before_step(self, node, batch):
        assert torch.equal(node.model.views(node.parameters)[0], next(node.model.module.parameters()))
        node.gradient.mul_(0.5).add_(node.parameters, alpha=0.01 * (node.id + len(batch)))


def test_hooks_see_their_own_node():
    def two_of_three(node):
        return [Hooked(None)] if node != 1 else []

    training = sgd(0.1, batch_size=4, local_steps=3, momentum=0.9, weight_decay=0.1)
    one, other = (step(trainer, MODEL, DATA, training, two_of_three) for trainer in (Sequential, Stacked))

    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(one, step(Sequential, MODEL, DATA, training))


class ThroughTheModel(Method):
    """A loss with a gradient that the stack cannot see."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses + next(node.model.module.parameters()).square().sum()


def test_a_loss_that_differentiates_through_the_model_is_refused():
    with pytest.raises(RunError, match=r"differentiates through node\.model"):
        step(Stacked, MODEL, DATA, sgd(0.1, batch_size=4), lambda node: [ThroughTheModel(None)])


def test_one_row_a_sample_gives_per_sample_gradients():
    """What private training needs: the same program, with every sample a node of its own."""
    build = seeded(lambda: CNN(CNN.Config(width=3)).build(*of_images((8, 8, 1), 3)))
    module, data, rows = FlatModule(build(), "fp64"), DATA[0], torch.arange(12)
    images, labels = data.preparation(data.train.inputs_at(rows), torch.float64), data.train.targets_at(rows)
    matrix = module.initial.repeat(12, 1).requires_grad_()
    logits = StackedModule(module).outputs(matrix, images[:, None])
    (found,) = torch.autograd.grad(cross_entropy(logits[:, 0], labels, reduction="sum"), matrix)

    for sample in range(12):
        module.gradient.zero_()
        cross_entropy(module.module(images[sample : sample + 1]), labels[sample : sample + 1]).backward()
        torch.testing.assert_close(found[sample], module.gradient, rtol=1e-10, atol=1e-13)


def test_rows_of_one_matrix_are_used_in_place():
    nodes = nodes_of(small(training={"optimizer": {"lr": 0.1, "momentum": 0.9}}))
    for name in ("parameters", "momentum"):
        with rows_of(nodes[1:], name) as matrix:
            assert matrix.data_ptr() == getattr(nodes[1], name).data_ptr()
            assert matrix.shape == (3, len(nodes[0].parameters))


def test_vectors_that_lie_apart_are_put_back():
    nodes = nodes_of(small())
    before = nodes[0].parameters
    with rows_of([nodes[0], nodes[2]], "parameters") as matrix:
        matrix.fill_(3)
        assert torch.equal(nodes[0].parameters, matrix[0])

    assert nodes[0].parameters is before
    assert [bool((node.parameters == 3).all()) for node in nodes] == [True, False, True, False]


class Branching(nn.Module):
    """Computes by what it sees."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x):
        return self.layer(x.flatten(1) if x.mean() > 0 else -x.flatten(1))


class Counting(nn.Module):
    """Keeps count of its calls, which a stack makes once for all."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(64, 3), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x.flatten(1)) * self.calls


OBSTACLES = {
    "control flow": (Branching, "RuntimeError"),
    "randomness": (lambda: nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(64, 3)), "RuntimeError"),
    "state": (Counting, "are not those of each model alone"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_networks_that_cannot_be_stacked_are_found_out(name):
    build, reason = OBSTACLES[name]

    assert reason in obstacle(FlatModule(seeded(build)(), "fp64"), DATA[0])


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
@pytest.mark.parametrize("part", [MLP(MLP.Config()), CNN(CNN.Config()), ResNet20(ResNet20.Config())])
def test_built_in_networks_can_be_stacked(part, precision):
    module = FlatModule(seeded(lambda: part.build(*of_images((8, 8, 1), 3)))(), precision)

    assert obstacle(module, DATA[0]) is None
    assert torch.equal(next(module.module.parameters()), module.views(module.initial)[0])


class BranchingModel(Model):
    """A stranger's model that cannot be stacked."""

    class Config(PartSettings):
        name: str = "branching"

    def build(self, inputs, outputs):
        network = Branching()
        network.layer = nn.Linear(64, outputs.width)
        return network


class Unstackable(Method):
    """Does not say that it can be stacked."""

    class Config(PartSettings):
        name: str = "unstackable"


REFUSED = {
    "model": ({"model": {"name": "branching"}}, r"the network, Branching, fails with RuntimeError"),
    "method": ({"methods": [{"name": "unstackable"}]}, "the method unstackable does not declare that it allows it"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_stacked_is_refused_before_the_run_or_left_alone(what, register, tmp_path):
    register("models", "branching", BranchingModel)
    register("methods", "unstackable", Unstackable)
    changes, reason = REFUSED[what]
    with pytest.raises(InputError, match=r"training\.trainer: these nodes cannot be trained as one program") as caught:
        trained(tmp_path, "stacked", rounds=1, **changes)
    assert reason in str(caught.value)
    assert not (tmp_path / "stacked").exists()

    done = trained(tmp_path, "auto", rounds=1, **changes)
    assert done.directory.experiment["training"]["trainer"] == "sequential"
    assert reason in done.directory.read_json("provenance.json")["autotuned"]["trainer"]["because"]


class TestDenseLayers:
    """Rows of dense layers are run without vmap, and come out as with it."""

    NETWORKS: ClassVar = {
        "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(), nn.Linear(9, 3)),
        "nested": lambda: nn.Sequential(
            nn.Flatten(), nn.Sequential(nn.Linear(64, 9, bias=False), nn.Tanh()), nn.Linear(9, 3)
        ),
        "one layer in two places": lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 9), act := nn.GELU(), nn.Linear(9, 9), act, nn.Linear(9, 3)
        ),
        "in place": lambda: nn.Sequential(
            *(nn.Flatten(), nn.Linear(64, 9), nn.ReLU(inplace=True)),
            *(nn.Linear(9, 9), nn.LeakyReLU(0.1, inplace=True), nn.Linear(9, 3)),
        ),
    }

    @pytest.mark.parametrize("name", NETWORKS)
    @pytest.mark.parametrize("precision", ["fp32", "fp64"])
    def test_they_come_out_as_by_vmap(self, name, precision, monkeypatch):
        torch.manual_seed(0)
        module = FlatModule(self.NETWORKS[name](), precision)
        stacked = StackedModule(module)
        matrix, images = (
            torch.randn(5, module.num_parameters).to(module.dtype),
            torch.randn(5, 4, 1, 8, 8).to(module.dtype),
        )
        assert stacked.is_dense

        def found():
            views = {key: view.detach().requires_grad_() for key, view in module.named_views(matrix).items()}
            outputs = stacked.outputs(views, images)
            return [outputs, *stacked.differentiate(outputs.square().sum(), views)]

        directly = found()
        monkeypatch.setattr(stacked, "_dense", None)
        for one, other in zip(directly, found(), strict=True):
            assert torch.equal(one, other)

    @pytest.mark.parametrize("name", NETWORKS)
    @pytest.mark.parametrize("batch", [1, 4])
    @pytest.mark.parametrize("precision", ["fp32", "fp64"])
    def test_their_gradients_are_those_of_autograd(self, name, batch, precision, monkeypatch):
        torch.manual_seed(0)
        module = FlatModule(self.NETWORKS[name](), precision)
        stacked = StackedModule(module)
        matrix = torch.randn(5, module.num_parameters).to(module.dtype)
        images, weights = torch.randn(5, batch, 1, 8, 8).to(module.dtype), torch.randn(5, batch, 3).to(module.dtype)

        def found():
            into = {key: torch.full_like(view, 7.0) for key, view in module.named_views(matrix).items()}
            stacked.backward(matrix, images, lambda outputs: (weights * outputs.tanh()).sum(), into)
            return into

        by_hand = found()
        assert all(gradient.any() for gradient in by_hand.values())
        monkeypatch.setattr(stacked, "_dense", None)
        for key, gradient in found().items():
            assert torch.equal(by_hand[key], gradient)

    def test_of_a_loss_that_is_a_constant_they_are_0(self):
        module = FlatModule(self.NETWORKS["mlp"]())
        matrix = torch.randn(5, module.num_parameters)
        into = {key: torch.full_like(view, 7.0) for key, view in module.named_views(matrix).items()}
        StackedModule(module).backward(
            matrix, torch.randn(5, 4, 1, 8, 8), lambda outputs: torch.ones(1, requires_grad=True).sum(), into
        )

        assert not any(gradient.any() for gradient in into.values())

    @pytest.mark.parametrize(
        "network",
        [
            lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)),
            lambda: nn.Sequential(nn.Flatten(), (shared := nn.Linear(64, 64)), nn.ReLU(), shared),
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9).requires_grad_(False), nn.Linear(9, 3)),
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.Dropout(0.0), nn.Linear(9, 3)),
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.ReLU(), nn.Linear(1, 33)),
        ],
    )
    def test_others_are_vectorised(self, network):
        assert not StackedModule(FlatModule(network())).is_dense

    def test_who_listens_to_a_layer_hears_it(self):
        module = FlatModule(self.NETWORKS["mlp"]())
        stacked, heard = StackedModule(module), []
        module.module[1].register_forward_hook(lambda *_: heard.append(1))
        stacked.outputs(torch.randn(2, module.num_parameters), torch.randn(2, 4, 1, 8, 8))

        assert heard
