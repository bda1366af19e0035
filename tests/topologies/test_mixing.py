"""Laws of mixing matrices, on random connected graphs and on every named graph."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies import GRAPHS, WEIGHTS, Topology, diameter, distances, eigenvalues, spectral_gap
from topologies.weights import exchanges, lazy, metropolis_hastings, push, row_stochastic, uniform

NAMED = [
    *[(name, 16, {}) for name in ("ring", "torus", "chain", "star", "tree", "complete", "hypercube", "exponential")],
    *[("exponential", 11, {}), ("torus", 14, {"rows": 2}), ("tree", 9, {"branching": 3})],
    ("two_worlds", 14, {"links": 3}),
    *[(name, 16, {"seed": 3}) for name in ("random_regular", "erdos_renyi", "small_world")],
    *[(name, None, {}) for name in ("davis", "florentine", "karate")],
]
named = pytest.mark.parametrize(("graph", "nodes", "options"), NAMED, ids=lambda value: str(value))
laws = settings(deadline=None, max_examples=30)


def test_every_named_graph_is_covered():
    assert {graph for graph, _, _ in NAMED} == set(GRAPHS) - {"from_file", "disjoint_union"}


@st.composite
def connected_graphs(draw, min_nodes=1):
    n = draw(st.integers(min_nodes, 12))
    graph = nx.empty_graph(n)
    graph.add_edges_from((node, draw(st.integers(0, node - 1))) for node in range(1, n))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    graph.add_edges_from(draw(st.lists(pairs, max_size=15)) if n > 1 else ())
    return graph


@st.composite
def strong_digraphs(draw):
    n = draw(st.integers(2, 10))
    graph = nx.cycle_graph(draw(st.permutations(range(n))), create_using=nx.DiGraph)
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    graph.add_edges_from(draw(st.lists(pairs, max_size=15)))
    return graph


def assert_row_stochastic_on(graph, weights):
    n = len(graph)
    assert weights.dtype == np.float64
    assert weights.shape == (n, n)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-12)
    for i in range(n):
        for j in range(n):
            assert (weights[i, j] > 0) == (i == j or graph.has_edge(j, i))


@laws
@given(connected_graphs(), st.sampled_from(["metropolis_hastings", "uniform", "lazy"]))
def test_undirected_weights_are_symmetric_and_doubly_stochastic(graph, name):
    weights = WEIGHTS[name](graph).toarray()
    assert_row_stochastic_on(graph, weights)
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(weights, weights.T)


@laws
@given(strong_digraphs(), st.sampled_from([uniform, row_stochastic]))
def test_directed_weights_are_row_stochastic_over_those_heard(graph, weights):
    assert_row_stochastic_on(graph, weights(graph).toarray())


@laws
@given(strong_digraphs())
def test_push_weights_split_the_sender_evenly(graph):
    weights = push(graph).toarray()
    assert_row_stochastic_on(graph.reverse(), weights.T)
    for sender in graph:
        np.testing.assert_allclose(weights[:, sender][weights[:, sender] > 0], 1 / (1 + graph.out_degree(sender)))


@named
@pytest.mark.parametrize("weights", WEIGHTS)
def test_named_graphs_keep_the_laws(graph, nodes, options, weights):
    topology = Topology.build(graph, nodes, weights, **options)
    if weights == "push":
        assert_row_stochastic_on(topology.graph.to_directed().reverse(), topology.weights.T)
    else:
        assert_row_stochastic_on(topology.graph, topology.weights)
    assert spectral_gap(topology.weights) > 1e-4
    regular = len(set(topology.degrees.tolist())) == 1
    assert topology.is_doubly_stochastic == (weights not in ("row_stochastic", "push") or regular)
    assert topology.is_column_stochastic == (weights != "row_stochastic" or regular)
    assert topology.is_symmetric == (topology.is_doubly_stochastic and graph != "exponential")


@laws
@given(connected_graphs(), connected_graphs(), st.sampled_from([*WEIGHTS.values()]))
def test_gap_is_positive_exactly_when_connected(one, other, weights):
    assert spectral_gap(weights(one)) > 1e-4
    assert spectral_gap(weights(nx.disjoint_union(one, other))) == pytest.approx(0, abs=1e-9)


def test_weights_by_hand_on_a_star():
    star = nx.star_graph(3)
    third = 1 / 4
    np.testing.assert_allclose(metropolis_hastings(star).toarray()[0], [third] * 4)
    np.testing.assert_allclose(metropolis_hastings(star).toarray()[1], [third, 1 - third, 0, 0])
    np.testing.assert_allclose(lazy(star).toarray()[1], [third / 2, 1 - third / 2, 0, 0])
    np.testing.assert_allclose(row_stochastic(star).toarray()[1], [1 / 2, 1 / 2, 0, 0])


def test_metropolis_hastings_differs_from_max_degree_weights_where_degrees_differ():
    chain = nx.path_graph(4)
    chain.add_edge(1, 4)
    assert metropolis_hastings(chain)[2, 3] == pytest.approx(1 / 3)
    assert uniform(chain)[2, 3] == pytest.approx(1 / 4)


@pytest.mark.parametrize("graph", ["ring", "torus", "hypercube", "complete", "exponential"])
def test_uniform_equals_metropolis_hastings_on_regular_graphs(graph):
    topology = Topology.build(graph, 16, "uniform")
    np.testing.assert_array_equal(topology.weights, Topology.build(graph, 16).weights)
    used = topology.weights[topology.weights > 0]
    np.testing.assert_allclose(used, 1 / (topology.degrees[0] + 1), atol=1e-15)


def test_edge_weights_do_not_count():
    weighted = nx.path_graph(3)
    nx.set_edge_attributes(weighted, 5.0, "weight")
    for weights in WEIGHTS.values():
        np.testing.assert_array_equal(weights(weighted).toarray(), weights(nx.path_graph(3)).toarray())


def test_a_directed_edge_gives_weight_to_the_receiver_only():
    graph = nx.DiGraph([(0, 1), (1, 2), (2, 0), (0, 2)])
    weights = row_stochastic(graph).toarray()
    np.testing.assert_allclose(weights, [[1 / 2, 0, 1 / 2], [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]])


@laws
@given(connected_graphs(), st.sampled_from([metropolis_hastings, uniform, lazy]), st.integers(0, 9))
def test_mixing_preserves_the_average_and_contracts_by_the_gap(graph, weights, seed):
    matrix = weights(graph).toarray()
    start = np.random.default_rng(seed).normal(size=(len(graph), 3))
    mean, factor = start.mean(axis=0), 1 - spectral_gap(matrix)
    mixed = matrix @ start
    np.testing.assert_allclose(mixed.mean(axis=0), mean, atol=1e-14)
    assert np.linalg.norm(mixed - mean) <= factor * np.linalg.norm(start - mean) + 1e-13


def test_row_stochastic_weights_agree_on_the_degree_weighted_mean_instead():
    topology = Topology.build("florentine", weights="row_stochastic")
    start = np.random.default_rng(0).normal(size=15)
    end = np.linalg.matrix_power(topology.weights, 3000) @ start
    expected = np.average(start, weights=topology.degrees + 1)
    np.testing.assert_allclose(end, expected, atol=1e-12)
    assert abs(expected - start.mean()) > 0.01


def test_disagreement_on_a_ring_shrinks_at_the_rate_of_the_gap():
    weights = Topology.build("ring", 16).weights
    state = np.random.default_rng(0).normal(size=16)
    state -= state.mean()
    for _ in range(400):
        before, state = np.linalg.norm(state), weights @ state
    assert np.linalg.norm(state) / before == pytest.approx(0.94925, abs=5e-6)
    assert 1 - spectral_gap(weights) == pytest.approx(0.94925, abs=5e-6)


@laws
@given(strong_digraphs(), st.integers(0, 9))
def test_push_sum_agrees_on_the_plain_mean_of_a_directed_graph(graph, seed):
    weights, mass = push(graph).toarray(), np.ones(len(graph))
    values = start = np.random.default_rng(seed).normal(size=len(graph))
    for _ in range(int(40 / spectral_gap(weights)) + 1):
        values, mass = weights @ values, weights @ mass
        assert mass.sum() == pytest.approx(len(graph))
        assert (mass > 0).all()
    np.testing.assert_allclose(values / mass, start.mean(), atol=1e-9)


def test_push_mass_alone_is_not_the_mean():
    weights = Topology.build("florentine", weights="push").weights
    values = np.linalg.matrix_power(weights, 3000) @ np.ones(15)
    assert values.max() > 1.5
    assert values.sum() == pytest.approx(15)


def test_exchanges_by_hand():
    np.testing.assert_allclose(
        exchanges(4, [(0, 2, 0.75), (2, 1, 0.25)]).toarray(),
        [[0.25, 0, 0.75, 0], [0, 0.75, 0.25, 0], [0.75, 0.25, 0, 0], [0, 0, 0, 1]],
    )


@laws
@given(connected_graphs())
def test_lazy_weights_have_no_negative_eigenvalue(graph):
    assert eigenvalues(lazy(graph))[-1] >= -1e-12


def test_plain_weights_can_have_negative_eigenvalues():
    assert eigenvalues(Topology.build("ring", 16).weights)[-1] < -0.3


@pytest.mark.parametrize("nodes", [1, 2, 7, 16])
def test_complete_graph_averages_in_one_round(nodes):
    weights = Topology.build("complete", nodes).weights
    np.testing.assert_allclose(weights, 1 / nodes, atol=1e-15)


@named
@pytest.mark.parametrize("weights", WEIGHTS)
def test_news_travels_one_hop_a_round(graph, nodes, options, weights):
    topology = Topology.build(graph, nodes, weights, **options)
    hops, reached = distances(topology.graph), np.eye(topology.num_nodes)
    for rounds in range(diameter(topology.graph) + 1):
        np.testing.assert_array_equal(reached > 0, hops <= rounds)
        reached = topology.weights @ reached


@laws
@given(connected_graphs(), st.sampled_from([*WEIGHTS]), st.data())
def test_renaming_the_nodes_renames_the_weights(graph, weights, data):
    permutation = data.draw(st.permutations(range(len(graph))))
    renamed = nx.relabel_nodes(graph, dict(enumerate(permutation)))
    before = Topology.from_networkx(graph, weights)
    for after in (Topology.from_networkx(renamed, weights), before.permuted(permutation)):
        for i, j in np.ndindex(before.weights.shape):
            assert after.weights[permutation[i], permutation[j]] == pytest.approx(before.weights[i, j], abs=1e-15)
