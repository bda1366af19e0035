"""Local training against plain PyTorch: torch.optim.SGD on the same batches."""

from functools import partial

import numpy as np
import pytest
import torch
from reference.experiments import nodes_of, small
from reference.network import Network, random_data, seeded, sgd
from reference.twins import batches
from torch.nn.functional import cross_entropy

from simulator import run
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.core.seeding import generator, global_seed
from simulator.mixers.gossip import Gossip
from simulator.models.small import CNN, MLP
from simulator.testing.network import of_images
from topologies import GRAPHS, Topology

close = {"rtol": 1e-12, "atol": 1e-12}
OPTIMIZERS = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.01},
    {"lr": 0.05, "momentum": 0.9},
    {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.001},
]
optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["plain", "decay", "momentum", "nesterov and decay"])
MODEL = seeded(lambda: MLP(MLP.Config(hidden=(7,))).build(*of_images((8, 8, 1), 3)))


def stream(node, samples, size, seed=0):
    """Positions of the batches of ``node``: seeded permutations, end to end."""
    return batches(lambda epoch: generator(seed, "batches", node=node, round=epoch).permutation(samples), size)


def vector(module):
    """The module's parameters in the flat order: convolutions channels last."""
    parts = [p.permute(0, 2, 3, 1) if p.dim() == 4 else p for p in module.parameters()]
    return torch.cat([part.reshape(-1) for part in parts]).detach().numpy()


def centralised(data, optimizer, steps, size, model=MODEL):
    """Large-batch SGD in one place: every step takes the batches of all nodes together."""
    module = model().double()
    sgd_ = torch.optim.SGD(module.parameters(), **optimizer)
    streams = [stream(node, len(d.train), size) for node, d in enumerate(data)]
    for _ in range(steps):
        taken = [(d, torch.from_numpy(take())) for d, take in zip(data, streams, strict=True)]
        images = torch.cat([d.preparation(d.train.inputs_at(rows), torch.float64) for d, rows in taken])
        labels = torch.cat([d.train.targets_at(rows) for d, rows in taken])
        sgd_.zero_grad()
        cross_entropy(module(images), labels).backward()
        sgd_.step()
    return vector(module)


@optimizers
@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ({}, [1.0] * 10),
        ({"warmup": 4}, [0.25, 0.5, 0.75] + [1.0] * 7),
        ({"milestones": [0.5, 0.8], "gamma": 0.1}, [1.0] * 5 + [0.1] * 3 + [0.01] * 2),
    ],
    ids=["constant", "warm-up", "milestones"],
)
def test_one_node_is_a_plain_pytorch_loop(tmp_path, optimizer, schedule, rates):
    """The whole program with one node, cnn on digits, ten rounds of two steps; written out by hand beside it."""
    training = {"batch_size": 16, "local_steps": 2, "precision": "fp64", "optimizer": optimizer, "schedule": schedule}
    experiment = small(
        rounds=10,
        seed=3,
        topology={"graph": "complete", "nodes": 1},
        model={"name": "cnn", "width": 3},
        training=training,
        evaluate={},
    )
    (node,) = run(experiment, tmp_path).nodes

    with global_seed(3, "model.initialisation"):
        module = CNN(CNN.Config(width=3)).build(*of_images((8, 8, 1), 10))
    module.double()
    sgd_ = torch.optim.SGD(module.parameters(), **optimizer)
    train, preparation = node.data.train, node.data.preparation
    take = stream(0, len(train), 16, seed=3)
    for rate in rates:
        sgd_.param_groups[0]["lr"] = optimizer["lr"] * rate
        for _ in range(2):
            rows = torch.from_numpy(take())
            sgd_.zero_grad()
            cross_entropy(module(preparation(train.inputs_at(rows), torch.float64)), train.targets_at(rows)).backward()
            sgd_.step()

    np.testing.assert_allclose(node.parameters.numpy(), vector(module), **close)


@optimizers
def test_adapt_then_combine_on_a_complete_graph_is_large_batch_sgd(optimizer):
    data = [random_data(20, seed=seed) for seed in range(4)]
    network = Network(Topology.build("complete", 4), MODEL, data, sgd(**optimizer, batch_size=6))
    expected = centralised(data, optimizer, 8, 6)
    final = network.run(8)[-1]

    for node in range(4):
        np.testing.assert_allclose(final[node], expected, **close)


@optimizers
def test_combine_then_adapt_is_not(optimizer):
    data = [random_data(20, seed=seed) for seed in range(4)]
    training = sgd(**optimizer, batch_size=6)
    mixer = partial(Gossip, Gossip.Config(order="combine_then_adapt"))
    final = Network(Topology.build("complete", 4), MODEL, data, training, mixer=mixer).run(8)[-1]

    assert np.abs(final - centralised(data, optimizer, 8, 6)).max() > 1e-3


@pytest.mark.parametrize(
    "graph", sorted(set(GRAPHS) - {"from_file", "disjoint_union", "davis", "florentine", "karate"})
)
def test_homogeneous_full_batches_make_every_graph_gradient_descent(graph):
    data, topology = random_data(20), Topology.build(graph, 8, **({"seed": 3} if "random" in graph else {}))
    optimizer = {"lr": 0.1, "momentum": 0.9}
    final = Network(topology, MODEL, data, sgd(**optimizer, batch_size=20)).run(5)[-1]

    np.testing.assert_allclose(final, np.tile(centralised([data], optimizer, 5, 20), (len(final), 1)), **close)


def test_local_steps_take_one_batch_each():
    data = [random_data(20)]
    network = Network(Topology.build("complete", 1), MODEL, data, sgd(0.1, batch_size=6, local_steps=3))

    np.testing.assert_allclose(network.run(4)[-1, 0], centralised(data, {"lr": 0.1}, 12, 6), **close)


def test_the_training_loss_is_the_mean_since_it_was_last_taken():
    data = random_data(20)
    network = Network(Topology.build("complete", 1), MODEL, data, sgd(0.1, batch_size=6, local_steps=2))
    (node,) = network.nodes
    module, take, expected = MODEL().double(), stream(0, 20, 6), []
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(6):
        rows = torch.from_numpy(take())
        loss = cross_entropy(
            module(data.preparation(data.train.inputs_at(rows), torch.float64)), data.train.targets_at(rows)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())

    assert node.take_loss() is None
    network.run(2)
    assert node.take_loss() == pytest.approx(np.mean(expected[:4]), rel=1e-12)
    network.run(1)
    assert node.take_loss() == pytest.approx(np.mean(expected[4:]), rel=1e-12)
    assert node.take_loss() is None


class Recording(Method):
    """Writes down which hook is called, with a name of its own."""

    def __init__(self, name, calls):
        super().__init__(None)
        self._name, self._calls = name, calls

    def _note(self, hook, *values):
        self._calls.append((hook, self._name, *values))

    def setup(self, node):
        self._note("setup")

    def before_round(self, node):
        self._note("before_round")

    def per_sample_loss(self, node, batch, logits, losses):
        self._note("per_sample_loss")
        return losses

    def before_step(self, node, batch):
        self._note("before_step")

    def after_local_training(self, node):
        self._note("after_local_training")

    def outgoing(self, node, message):
        self._note("outgoing", message.receiver)
        return message

    def incoming(self, node, message):
        self._note("incoming", message.sender)
        return message

    def after_mixing(self, node):
        self._note("after_mixing")

    def finalize(self, node):
        self._note("finalize")


def test_hooks_are_called_in_the_documented_order():
    calls = []

    def two(node):
        return [Recording("a", calls), Recording("b", calls)] if node == 1 else []

    network = Network(
        Topology.build("chain", 3), MODEL, random_data(), sgd(0.1, batch_size=4, local_steps=2), methods=two
    )
    network.absorb(network.work()[::-1])  # however they arrive, messages are taken in by sender
    NodeProgram(network.nodes[1]).finalize()
    step = [(hook, name) for hook in ("per_sample_loss", "before_step") for name in "ab"]

    assert calls == [
        *[("setup", "a"), ("setup", "b")],
        *[("before_round", "a"), ("before_round", "b"), *step, *step],
        *[("after_local_training", "a"), ("after_local_training", "b")],
        *[("outgoing", "a", 0), ("outgoing", "b", 0), ("outgoing", "a", 2), ("outgoing", "b", 2)],
        *[("incoming", "b", 0), ("incoming", "b", 2), ("incoming", "a", 0), ("incoming", "a", 2)],
        *[("after_mixing", "b"), ("after_mixing", "a"), ("finalize", "a"), ("finalize", "b")],
    ]


class Weighted(Method):
    """The first sample of a batch counts twice, the others not at all."""

    def per_sample_loss(self, node, batch, logits, losses):
        return losses * (2 * (torch.arange(len(losses)) == 0))


def test_the_mean_of_the_methods_losses_is_what_is_trained_on():
    topology = Topology.build("complete", 1)
    data, training = random_data(20), sgd(0.1, batch_size=2)
    plain = Network(topology, MODEL, data, training)
    weighted = Network(topology, MODEL, data, training, methods=lambda node: [Weighted(None)])
    doubled = Network(topology, MODEL, data, sgd(0.1, batch_size=2), methods=lambda node: [Weighted(None)] * 2)
    rows = torch.from_numpy(stream(0, 20, 2)()[:1])
    module = MODEL().double()
    cross_entropy(
        module(data.preparation(data.train.inputs_at(rows), torch.float64)), data.train.targets_at(rows)
    ).backward()
    gradient = torch.cat([p.grad.flatten() for p in module.parameters()]).numpy()

    for network, factor in ((weighted, 1), (doubled, 2)):
        start, after = network.run(1)
        np.testing.assert_allclose(after[0], start[0] - 0.1 * factor * gradient, **close)
    assert not np.allclose(plain.run(1)[1], weighted.parameters)


class Halved(Method):
    """Shows what ``before_step`` sees, and halves it."""

    def before_step(self, node, batch):
        self.seen = node.gradient.clone()
        node.gradient.mul_(0.5)


def test_before_step_sees_the_gradient_with_weight_decay_and_may_change_it():
    topology, data = Topology.build("complete", 1), random_data(20)
    halved = Network(
        topology, MODEL, data, sgd(0.1, batch_size=4, weight_decay=0.5), methods=lambda node: [Halved(None)]
    )
    plain = Network(topology, MODEL, data, sgd(0.1, batch_size=4, weight_decay=0.5))
    start, after = halved.run(1)
    _, whole = plain.run(1)

    np.testing.assert_allclose(after - start, (whole - start) / 2, **close)
    np.testing.assert_allclose(
        halved.nodes[0].methods[0].seen.numpy(), -(whole - start)[0] / 0.1, rtol=1e-10, atol=1e-12
    )


def test_a_node_has_a_model_only_while_a_worker_lends_it_one():
    network = Network(Topology.build("complete", 1), MODEL, random_data(), sgd(0.1))

    with pytest.raises(RuntimeError, match="only while a worker lends it one"):
        _ = network.nodes[0].model


def test_all_nodes_start_from_the_same_parameters():
    nodes = nodes_of(small())

    assert all(torch.equal(node.parameters, nodes[0].parameters) for node in nodes)
