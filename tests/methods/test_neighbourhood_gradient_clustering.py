"""NGC against a vectorised oracle, over all backends, with losses and absences, and where it cannot work."""

import numpy as np
import pytest
from reference.experiments import results, small
from reference.network import Network, random_data, sgd
from reference.softmax import Softmax, arrays, sharp_gradients

from methods.neighbourhood_gradient_clustering import PART, NeighbourhoodGradientClustering
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.method import METHODS
from simulator.mixers.gossip import Gossip
from simulator.results.recordings import Recordings
from topologies import Topology

NGC = {"name": "neighbourhood_gradient_clustering"}
EARLY = {"name": "gossip", "order": "combine_then_adapt"}


def oracle(topology, start, data, rounds, *, alpha, rho, rate, lr, momentum, decay):
    """X <- (1 - r) X + r W X - lr V, with V <- momentum V + P + decay X, in one loop over matrices."""
    n, x, v = topology.num_nodes, start.copy(), np.zeros_like(start)
    path, linked = [x.copy()], topology.weights != 0
    np.fill_diagonal(linked, False)
    for _ in range(rounds):
        cross = np.array([[sharp_gradients(x[model], *data[own], rho) for own in range(n)] for model in range(n)])
        p = np.empty_like(x)
        for i in range(n):
            models = [cross[i, i], *cross[linked[i], i]]
            samples = [cross[i, i], *cross[i, linked[i]]]
            p[i] = (1 - alpha) * np.mean(models, axis=0) + alpha * np.mean(samples, axis=0)
        v = momentum * v + p + decay * x
        x = (1 - rate) * x + rate * topology.weights @ x - lr * v
        path.append(x.copy())
    return np.stack(path)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
@pytest.mark.parametrize(("graph", "rho"), [("ring", 0.0), ("star", 0.0), ("star", 0.5)])
def test_equals_a_vectorised_oracle(graph, alpha, rho):
    """With rho, N-SADDLe."""
    topology, n = Topology.build(graph, 5), 5
    data = [random_data(samples=7, shape=(3, 4, 1), classes=3, seed=node) for node in range(n)]
    start = np.random.default_rng(0).normal(size=(n, 39))
    config = NeighbourhoodGradientClustering.Config(alpha=alpha, rho=rho)
    network = Network(
        topology, Softmax, data, sgd(0.2, momentum=0.5, weight_decay=0.01, batch_size=7),
        methods=lambda node: [NeighbourhoodGradientClustering(config)],
        mixer=lambda: Gossip(Gossip.Config(order="combine_then_adapt", rate=0.7)), start=start,
    )  # fmt: skip
    expected = oracle(
        topology,
        start,
        [arrays(each) for each in data],
        6,
        alpha=alpha,
        rho=rho,
        rate=0.7,
        lr=0.2,
        momentum=0.5,
        decay=0.01,
    )
    np.testing.assert_allclose(network.run(6), expected, rtol=0, atol=1e-12)


def experiment(*overrides, **changes):
    return small(*overrides, **{"mixer": EARLY, "methods": [NGC], "rounds": 4} | changes)


def test_two_exchanges_are_told_apart_in_what_was_sent(tmp_path):
    done = run(experiment(record={"every": 2}), tmp_path)
    sent = list(done.directory.messages())
    by_exchange = [[m for m in sent if m.get("exchange", 1) == k] for k in (1, 2)]
    assert [len(each) for each in by_exchange] == [4 * 8, 4 * 8]  # rounds times directed links of the ring
    assert {tuple(m["parts"]) for m in by_exchange[0]} == {("parameters",)}
    assert {tuple(m["parts"]) for m in by_exchange[1]} == {(PART,)}
    assert all(m["wire"] > sum(m["parts"].values()) for m in sent)
    names = Recordings(done.path / "recordings").names(2, 1)
    assert {"sent/parameters", f"sent/{PART}/0", f"sent/{PART}/2", "receivers"} <= names


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_nothing(workers, tmp_path):
    one, more = (run(experiment(f"backend.workers={n}"), tmp_path / str(n)) for n in (1, workers))
    assert results(one.path) == results(more.path)


def test_stopped_and_resumed_is_as_never_stopped(tmp_path):
    straight = run(experiment("checkpoint.every=2"), tmp_path)
    before = results(straight.path)
    resume(straight.path, round=2)
    assert results(straight.path) == before


@pytest.mark.parametrize("failures", [{"links": 0.4}, {"nodes": 0.3}, {"absences": [[1, 2, 3]]}], ids=str)
def test_who_is_not_heard_is_left_out_of_the_mean(failures, tmp_path):
    done = run(experiment("topology.failures=" + str(failures).replace("'", "")), tmp_path)
    assert all(np.isfinite(metric.value) for metric in done.metrics())
    heard = {(m["round"], m["sender"], m["receiver"]) for m in done.directory.messages() if "exchange" not in m}
    answered = {(m["round"], m["receiver"], m["sender"]) for m in done.directory.messages() if "exchange" in m}
    assert answered == heard
    assert len(heard) < 4 * 8


def test_links_that_fail_one_way_bring_gradients_of_those_models_only_that_arrived(tmp_path):
    done = run(experiment("topology.failures={links: 0.4, symmetric: false}"), tmp_path)
    heard = {(m["round"], m["sender"], m["receiver"]) for m in done.directory.messages() if "exchange" not in m}
    answered = {(m["round"], m["receiver"], m["sender"]) for m in done.directory.messages() if "exchange" in m}
    assert answered == heard & {(round, receiver, sender) for round, sender, receiver in heard}
    assert answered < heard


def test_alone_it_is_sgd(tmp_path):
    """Without neighbours nothing but one's own gradient is left."""
    alone = ["topology={graph: complete, nodes: 1}", "data.partition=iid"]
    ngc, plain = (run(experiment(*alone, methods=methods), tmp_path / str(len(methods))) for methods in ([NGC], []))
    np.testing.assert_allclose(ngc.models(4), plain.models(4), rtol=0, atol=1e-12)


REFUSED = {
    "methods[0]: neighbours take gradients at the models": {"mixer": "gossip"},
    "methods[0]: neighbours exchange the gradients of one step": {"training": {"local_steps": 2}},
    "methods[0]: neighbours answer each other": {
        "topology": {"graph": "exponential", "nodes": 5, "weights": "uniform"},
    },
    "methods[0]: label_smoothing changes the loss": {"methods": [NGC, {"name": "label_smoothing", "strength": 0.1}]},
    "Run without the method or setting that keeps them apart": {
        "methods": [NGC, {"name": "trend", "bits": [None, 1], "share": "same_bits"}]
    },
    "methods[1]: neighbourhood_gradient_clustering sends gradients": {
        "methods": [NGC, {"name": "dp_sgd", "noise_multiplier": 1.0}]
    },
    "protects the parameters, and neighbourhood_gradient_clustering sends more": {
        "methods": [NGC, {"name": "node_dp", "noise_multiplier": 1.0}]
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_where_it_cannot_work_it_is_refused(what):
    with pytest.raises(InputError) as caught:
        experiment(**REFUSED[what])
    assert what in str(caught.value)


def test_its_declaration_speaks_of_one_exchange_where_one_is_enough():
    traits = METHODS.load(NGC["name"]).traits
    config = METHODS.load(NGC["name"]).Config
    assert [traits(config(alpha=alpha)).exchanges for alpha in (0.0, 0.5, 1.0)] == [1, 2, 2]
