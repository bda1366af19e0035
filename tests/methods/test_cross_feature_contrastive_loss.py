"""CCL against a plain loop, what it sends, with losses and absences, and where it cannot work."""

import numpy as np
import pytest
import torch
from reference.experiments import results, small
from reference.network import Network, random_data, sgd
from reference.softmax import arrays
from torch import nn
from torch.nn.functional import cross_entropy

from methods.cross_feature_contrastive_loss import COUNTS, FEATURES, CrossFeatureContrastiveLoss
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.message import Message
from simulator.core.method import METHODS
from simulator.mixers.gossip import Gossip
from simulator.results.recordings import Recordings
from topologies import Topology

CCL = {"name": "cross_feature_contrastive_loss"}
EARLY = {"name": "gossip", "order": "combine_then_adapt"}
DATA = [random_data(samples=7, shape=(3, 4, 1), classes=3, seed=node) for node in range(5)]
START = np.random.default_rng(0).normal(size=(5, 12 * 6 + 6 + 6 * 3 + 3)) / 2


def network():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 3))


def looked(x, images):
    """Features and logits of the network with parameters ``x``."""
    features = torch.tanh(images @ x[:72].view(6, 12).T + x[72:78])
    return features, features @ x[78:96].view(3, 6).T + x[96:]


def stepped(x, data, linked, node, lambda_m, lambda_d):
    """The gradient of node ``node``'s loss, written out sample by sample."""
    own = x[node].clone().requires_grad_()
    images, labels = data[node]
    features, logits = looked(own, images)
    loss = cross_entropy(logits, labels)
    for j in linked[node]:
        loss = loss + lambda_m * ((features - looked(x[j], images)[0]) ** 2).mean()
    held = [(looked(x[node], data[k][0])[0], data[k][1]) for k in [node, *linked[node]]]
    for s, label in enumerate(labels):
        alike = torch.cat([rows[of == label] for rows, of in held])
        loss = loss + lambda_d * ((features[s] - alike.mean(0)) ** 2).mean() / len(labels)
    return torch.autograd.grad(loss, own)[0]


def oracle(topology, data, rounds, *, lambda_m, lambda_d, lr, momentum, decay):
    """X <- W X - lr V, with V <- momentum V + G + decay X."""
    x, path = torch.tensor(START), [START]
    v, w = torch.zeros_like(x), torch.tensor(topology.weights)
    linked = [topology.neighbours(i) for i in range(5)]
    for _ in range(rounds):
        g = torch.stack([stepped(x, data, linked, i, lambda_m, lambda_d) for i in range(5)])
        v = momentum * v + g + decay * x
        x = w @ x - lr * v
        path.append(x.numpy())
    return np.stack(path)


@pytest.mark.parametrize(("lambda_m", "lambda_d"), [(0.7, 0.4), (0.7, 0.0), (0.0, 0.4)])
@pytest.mark.parametrize("graph", ["ring", "star"])
def test_equals_a_plain_loop(graph, lambda_m, lambda_d):
    topology = Topology.build(graph, 5)
    config = CrossFeatureContrastiveLoss.Config(lambda_m=lambda_m, lambda_d=lambda_d)
    nodes = Network(
        topology,
        network,
        DATA,
        sgd(0.2, momentum=0.5, weight_decay=0.01, batch_size=7),
        methods=lambda node: [CrossFeatureContrastiveLoss(config)],
        mixer=lambda: Gossip(Gossip.Config(order="combine_then_adapt")),
        start=START,
    )
    data = [tuple(map(torch.as_tensor, arrays(each))) for each in DATA]
    settings = {"lambda_m": lambda_m, "lambda_d": lambda_d, "lr": 0.2, "momentum": 0.5, "decay": 0.01}
    expected = oracle(topology, data, 5, **settings)

    np.testing.assert_allclose(nodes.run(5), expected, rtol=0, atol=1e-12)


def experiment(*overrides, **changes):
    return small(*overrides, **{"mixer": EARLY, "methods": [CCL], "rounds": 4} | changes)


def test_the_answers_are_in_the_ledger_and_tell_how_many_of_each_class_are_in_a_batch(tmp_path):
    done = run(experiment(record={"every": 4}), tmp_path)
    answers = [m for m in done.directory.messages() if m.get("exchange", 1) == 2]
    assert len(answers) == 4 * 8  # rounds times directed links of the ring
    assert all(m["parts"] == {FEATURES: 8 * 10 * 16, COUNTS: 8 * 10} for m in answers)  # bytes: 10 classes, 16 features
    names = Recordings(done.path / "recordings").names(4, 1)
    assert {"sent/parameters", f"sent/{FEATURES}/0", f"sent/{FEATURES}/2", f"sent/{COUNTS}"} <= names


def test_what_is_sent_are_sums_by_class_at_the_receivers_model():
    topology = Topology.build("ring", 5)
    nodes = Network(
        topology,
        network,
        DATA,
        sgd(0.2, batch_size=7),
        methods=lambda node: [CrossFeatureContrastiveLoss(CrossFeatureContrastiveLoss.Config())],
        mixer=lambda: Gossip(Gossip.Config(order="combine_then_adapt")),
        start=START,
    )
    nodes.round()
    answer = next(m for m in nodes.early[1] if (m.sender, m.receiver) == (1, 2))
    images, labels = map(torch.as_tensor, arrays(DATA[1]))
    features, _ = looked(torch.tensor(START[2]), images)
    expected = torch.stack([features[labels == c].sum(0) for c in range(3)])

    torch.testing.assert_close(answer.parts[FEATURES], expected, rtol=1e-12, atol=1e-12)
    assert answer.parts[COUNTS].tolist() == [int((labels == c).sum()) for c in range(3)]


def test_features_of_another_width_or_without_their_number_are_refused():
    nodes = Network(
        Topology.build("ring", 5),
        network,
        DATA,
        sgd(0.2, batch_size=7),
        methods=lambda node: [CrossFeatureContrastiveLoss(CrossFeatureContrastiveLoss.Config())],
        mixer=lambda: Gossip(Gossip.Config(order="combine_then_adapt")),
    )
    nodes.work()
    (method,) = nodes.nodes[0].methods

    def objection(**parts):
        return method.objection(
            nodes.nodes[0], Message(1, 0, 1, {f"ccl.{name}": part for name, part in parts.items()}, 2)
        )

    assert objection(features=torch.zeros(3, 6), counts=torch.zeros(3)) is None
    assert "5 features, where the network has 6" in objection(features=torch.zeros(3, 5), counts=torch.zeros(3))
    assert "without the other" in objection(features=torch.zeros(3, 6))


def test_numbers_that_a_neighbour_makes_up_leave_the_loss_finite():
    """They are of classes that the node may not hold, where nothing of its own is added to them."""
    nodes = Network(
        Topology.build("ring", 5),
        network,
        DATA,
        sgd(0.2, batch_size=1),
        methods=lambda node: [CrossFeatureContrastiveLoss(CrossFeatureContrastiveLoss.Config())],
        mixer=lambda: Gossip(Gossip.Config(order="combine_then_adapt")),
    )
    (method,) = nodes.nodes[0].methods
    hear = method.early_incoming

    def misled(node, exchange, inbox):
        lies = {FEATURES: torch.full((3, 6), 1e15).double(), COUNTS: torch.full((3,), 1e-300, dtype=torch.float64)}
        hear(
            node, exchange, [Message(m.sender, m.receiver, m.round, lies, 2) for m in inbox] if exchange == 2 else inbox
        )

    method.early_incoming = misled
    assert np.isfinite(nodes.run(1)).all()


def test_stopped_and_resumed_is_as_never_stopped(tmp_path):
    straight = run(experiment("checkpoint.every=2"), tmp_path)
    before = results(straight.path)
    resume(straight.path, round=2)
    assert results(straight.path) == before


@pytest.mark.parametrize("failures", [{"links": 0.4}, {"nodes": 0.3}, {"links": 0.4, "symmetric": False}], ids=str)
def test_who_is_not_heard_is_left_out(failures, tmp_path):
    done = run(experiment("topology.failures=" + str(failures).replace("'", "")), tmp_path)
    assert all(np.isfinite(metric.value) for metric in done.metrics())
    heard = {(m["round"], m["sender"], m["receiver"]) for m in done.directory.messages() if "exchange" not in m}
    answered = {(m["round"], m["receiver"], m["sender"]) for m in done.directory.messages() if "exchange" in m}
    assert answered <= heard
    assert len(heard) < 4 * 8


def test_running_statistics_move_once_a_step(tmp_path):
    """As without the method, whose weights are too small here to move anything else."""
    model, buffers = {"name": "cnn", "width": 2, "norm": "batch"}, {"policy": "local"}
    tiny = {**CCL, "lambda_m": 1e-300, "lambda_d": 1e-300}
    used, unused = (
        run(experiment(model=model, buffers=buffers, methods=methods), tmp_path / str(len(methods)))
        for methods in ([tiny], [])
    )
    for one, other in zip(used.nodes, unused.nodes, strict=True):
        torch.testing.assert_close(one.buffers.running, other.buffers.running, rtol=1e-12, atol=1e-12)


REFUSED = {
    "methods[0]: neighbours look at features of the models": {"mixer": "gossip"},
    "methods[0]: neighbours exchange the features of one batch": {"training": {"local_steps": 2}},
    "methods[0]: neighbours answer each other": {
        "topology": {"graph": "exponential", "nodes": 5, "weights": "uniform"},
    },
    "methods[1]: neighbourhood_gradient_clustering exchanges messages before": {
        "methods": [CCL, {"name": "neighbourhood_gradient_clustering"}]
    },
    "Run without the method or setting that keeps them apart": {
        "methods": [CCL, {"name": "trend", "bits": [None, 1], "share": "same_bits"}]
    },
    "cross_feature_contrastive_loss sends sums of features": {
        "methods": [CCL, {"name": "dp_sgd", "noise_multiplier": 1.0}]
    },
    "protects the parameters, and cross_feature_contrastive_loss sends more": {
        "methods": [CCL, {"name": "node_dp", "noise_multiplier": 1.0}]
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_where_it_cannot_work_it_is_refused(what):
    with pytest.raises(InputError) as caught:
        experiment(**REFUSED[what])
    assert what in str(caught.value)


def test_a_network_without_a_last_layer_is_refused():
    problems = list(CrossFeatureContrastiveLoss.check_network(CrossFeatureContrastiveLoss.Config(), nn.Conv2d(1, 3, 3)))
    assert "none is there and trained" in problems[0].what


def test_its_declaration_speaks_of_as_many_exchanges_as_it_needs():
    method = METHODS.load(CCL["name"])
    found = [method.traits(method.Config(lambda_m=m, lambda_d=d)) for m, d in ((0, 0), (0.1, 0), (0, 0.1), (0.1, 0.1))]
    assert [traits.exchanges for traits in found] == [0, 1, 2, 2]
    assert [traits.beside_gradients is None for traits in found] == [True, True, False, False]
