"""Laws of push-sum on directed graphs, through the real node program in double precision."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.graphs import DOUBLY_STOCHASTIC, over_time, topologies
from reference.network import quadratics, sgd
from reference.twins import gossip, push_sum

from simulator.core.plan import Plan
from simulator.mixers.push_sum import PushSum
from simulator.testing import check_mixer
from topologies import Topology

laws = settings(max_examples=12)
close = {"rtol": 1e-12, "atol": 1e-12}


@st.composite
def directed(draw, min_nodes=2, max_nodes=7):
    """A strongly connected directed graph, a circle in random order and some more links, with push weights."""
    n = draw(st.integers(min_nodes, max_nodes))
    circle = draw(st.permutations(range(n)))
    graph = nx.empty_graph(n, nx.DiGraph)
    graph.add_edges_from(zip(circle, (*circle[1:], circle[0]), strict=True))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    graph.add_edges_from(draw(st.lists(pairs, max_size=8)))
    return Topology.from_networkx(graph, "push")


def points(topology, seed=0, size=5):
    return np.random.default_rng(seed).normal(size=(topology.num_nodes, size))


def build(topology, training, **options):
    mixer = options.pop("mixer", lambda: PushSum(PushSum.Config()))
    return quadratics(topology, points(topology), points(topology, 1), training, mixer=mixer, **options)


def saved(network, name):
    return np.stack([state[f"mixer/{name}"].numpy() for state in network.states()])


def push_weights(network):
    return saved(network, "push_weight")[:, 0]


def set_links(network, weights):
    """What nodes send and hear from the next round on."""
    for node in network.nodes:
        i = node.id
        node.weights = {j: w for j, w in enumerate(weights[i].tolist()) if w > 0 or j == i}
        node.receivers = tuple(j for j in np.flatnonzero(weights[:, i]).tolist() if j != i)


@laws
@given(directed())
def test_the_trajectory_and_the_weights_are_those_of_the_matrix_formula(topology):
    curvature = np.random.default_rng(2).uniform(0.2, 2, topology.num_nodes)
    network = build(topology, sgd(0.2), curvature=curvature)
    path, weights = push_sum(
        [topology.weights] * 8, lambda z: curvature[:, None] * (z - points(topology)), points(topology, 1), 0.2
    )

    np.testing.assert_allclose(network.run(8), path, **close)
    np.testing.assert_allclose(push_weights(network), weights[-1], **close)


@pytest.mark.slow
@laws
@given(st.lists(directed(4, 4), min_size=3, max_size=3))
def test_links_may_change_every_round(graphs):
    """Another matrix every round, other neighbours, and one round in which node 0 hears and sends nothing."""
    alone = graphs[0].weights.copy()
    alone[:, 0], alone[0, :] = 0, 0
    alone = alone + np.diag(1 - alone.sum(axis=0))
    matrices = [graph.weights for graph in graphs] + [alone]
    network, path = build(graphs[0], sgd(0.2)), []
    for matrix in matrices:
        set_links(network, matrix)
        network.round()
        path.append(network.parameters)
    expected, weights = push_sum(matrices, lambda z: z - points(graphs[0]), points(graphs[0], 1), 0.2)

    np.testing.assert_allclose(path, expected[1:], **close)
    assert push_weights(network).sum() == pytest.approx(4, abs=1e-12)
    np.testing.assert_allclose(push_weights(network), weights[-1], **close)


@laws
@given(directed())
@pytest.mark.slow
def test_weights_stay_positive_and_sum_to_the_number_of_nodes(topology):
    network = build(topology, sgd(0.2))
    for _ in range(10):
        network.round()
        assert (push_weights(network) > 0).all()
        assert push_weights(network).sum() == pytest.approx(topology.num_nodes, abs=1e-12)


@settings(max_examples=5)
@given(directed(max_nodes=4))
@pytest.mark.slow
def test_without_a_gradient_nodes_agree_on_the_plain_mean(topology):
    network = build(topology, sgd(0.1), curvature=np.zeros(topology.num_nodes))
    mean = np.tile(points(topology, 1).mean(0), (topology.num_nodes, 1))

    np.testing.assert_allclose(network.run(100)[-1], mean, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_plain_mean_is_not_what_the_same_matrix_gives_without_the_weights():
    topology = Topology.build("star", 5, weights="push")
    network = build(topology, sgd(0.1), curvature=np.zeros(5))
    network.run(200)
    numerators = saved(network, "numerator")

    np.testing.assert_allclose(network.parameters, np.tile(points(topology, 1).mean(0), (5, 1)), **close)
    assert np.abs(numerators - network.parameters).max() > 0.1
    assert push_weights(network) == pytest.approx(np.array([25, 10, 10, 10, 10]) / 13)  # in proportion to deg + 1


@pytest.mark.slow
@laws
@given(topologies(weights=DOUBLY_STOCHASTIC))
def test_where_rows_sum_to_1_it_is_gossip(topology):
    network = build(topology, sgd(0.3))
    twin = gossip(topology.weights, lambda x: x - points(topology), points(topology, 1), [0.3] * 6)

    np.testing.assert_allclose(network.run(6), twin, **close)
    np.testing.assert_allclose(push_weights(network), 1, **close)


def test_all_that_moves_a_model_moves_its_numerator():
    """The mean numerator follows the mean of what training adds: here -eta times the mean gradient at z."""
    topology = Topology.build("star", 5, weights="push")
    network = build(topology, sgd(0.2, local_steps=3))
    network.round()
    for _ in range(4):
        numerators = saved(network, "numerator")
        before = network.parameters
        moved = (0.8**3 - 1) * (before - points(topology))
        network.round()
        np.testing.assert_allclose(saved(network, "numerator").sum(0), numerators.sum(0) + moved.sum(0), **close)


def test_a_message_is_the_numerator_and_eight_bytes():
    network = build(Topology.build("star", 4, weights="push"), sgd(0.1))
    network.round()
    for message in network.work():
        assert message.envelope.bytes_by_part == {"parameters": 5 * 8, "push_weight": 8}
        assert message.parts["push_weight"].dtype == torch.float64
        weight = push_weights(network)[message.sender]
        assert message.parts["push_weight"].item() == weight != 1


def test_it_conforms():
    check_mixer(PushSum, PushSum.Config())


@laws
@given(directed(), st.integers(1, 5))
@pytest.mark.slow
def test_a_resumed_run_is_the_same_to_the_bit(topology, stop):
    straight, ahead, resumed = (build(topology, sgd(0.2, momentum=0.5)) for _ in range(3))
    straight.run(6)
    ahead.run(stop)
    resumed.load(ahead.states())
    resumed.run(6 - stop)

    assert np.array_equal(resumed.parameters, straight.parameters)


def test_a_state_before_the_first_round_can_be_loaded():
    topology = Topology.build("star", 4, weights="push")
    fresh, loaded = build(topology, sgd(0.2)), build(topology, sgd(0.2))
    loaded.load(fresh.states())

    assert np.array_equal(loaded.run(3), fresh.run(3))


def plan(weights):
    return Plan(5, sgd(0.1), over_time(Topology.build("star", 5, weights=weights)), PushSum.Config())


@pytest.mark.parametrize("weights", ["push", "metropolis_hastings", "uniform", "lazy"])
def test_columns_that_sum_to_1_are_accepted(weights):
    assert not list(PushSum.check(PushSum.Config(), plan(weights)))


def test_other_columns_are_refused():
    (problem,) = PushSum.check(PushSum.Config(), plan("row_stochastic"))

    assert "row_stochastic" in problem.what
    assert "topology.weights: push" in problem.advice
