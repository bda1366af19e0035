"""The Topology itself: its views, its copies and what it refuses to be."""

import json
import pickle

import networkx as nx
import numpy as np
import pytest

from topologies import WEIGHTS, Topology, TopologyError


def test_a_single_node_talks_to_itself():
    for name in WEIGHTS:
        topology = Topology.build("ring", 1, name)
        np.testing.assert_array_equal(topology.weights, [[1.0]])
        assert topology.row(0) == {0: 1.0}
        assert topology.edges() == []


def test_views_of_an_undirected_graph():
    topology = Topology.build("star", 4)
    assert topology.num_nodes == 4
    assert topology.degrees.tolist() == [3, 1, 1, 1]
    assert topology.in_neighbours(0) == topology.out_neighbours(0) == topology.neighbours(0) == (1, 2, 3)
    assert topology.row(2) == {0: 0.25, 2: 0.75}
    assert topology.edges() == [(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0)]


def test_views_of_a_directed_graph():
    topology = Topology.build("exponential", 5)
    assert topology.out_neighbours(0) == (1, 2, 4)
    assert topology.in_neighbours(0) == (1, 3, 4)
    assert topology.neighbours(0) == (1, 2, 3, 4)
    assert list(topology.row(0)) == [0, 1, 3, 4]
    assert topology.degrees.tolist() == [3] * 5
    assert (0, 2) in topology.edges()
    assert (2, 0) not in topology.edges()


@pytest.mark.parametrize("graph", ["florentine", "karate", "davis"])
def test_rows_hold_the_whole_mixing_matrix(graph):
    topology = Topology.build(graph)
    rebuilt = np.zeros_like(topology.weights)
    for node in range(topology.num_nodes):
        for j, weight in topology.row(node).items():
            rebuilt[node, j] = weight
    np.testing.assert_array_equal(rebuilt, topology.weights)


def test_a_topology_cannot_be_changed():
    graph, weights = nx.path_graph(2), np.full((2, 2), 0.5)
    topology = Topology("pair", graph, weights, "by_hand")
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        topology.graph.remove_edge(0, 1)
    with pytest.raises(ValueError, match="read-only"):
        topology.weights[0, 0] = 1
    graph.remove_edge(0, 1)
    weights[0, 0] = 9
    assert topology.graph.has_edge(0, 1)
    assert topology.weights[0, 0] == 0.5


def test_seed_reaches_the_random_graph():
    drawn = [Topology.build("erdos_renyi", 16, seed=seed).edges() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert Topology.build("ring", 5, seed=7).edges() == Topology.build("ring", 5).edges()


@pytest.mark.parametrize(
    ("graph", "nodes", "weights"),
    [("karate", None, "metropolis_hastings"), ("exponential", 11, "uniform"), ("davis", None, "row_stochastic")],
)
def test_json_round_trip_is_exact(graph, nodes, weights):
    topology = Topology.build(graph, nodes, weights)
    again = Topology.from_json(json.loads(json.dumps(topology.to_json())))
    assert again.weights.tobytes() == topology.weights.tobytes()
    assert again.edges() == topology.edges()
    assert again.labels == topology.labels
    assert again.graph.is_directed() == topology.graph.is_directed()
    assert (again.graph_name, again.weights_name) == (graph, weights)


def test_json_keeps_weights_that_no_function_makes():
    weights = np.array([[0.1 + 0.2, 0.7 - 1e-16], [1 / 3, 2 / 3]])
    topology = Topology("pair", nx.path_graph(2), weights, "by_hand")
    again = Topology.from_json(json.loads(json.dumps(topology.to_json())))
    assert again.weights.tobytes() == weights.tobytes()
    assert again.weights_name == "by_hand"


@pytest.mark.parametrize("broken", [{}, {"nodes": 2, "edges": [[0, 1]]}, {"nodes": [{"id": 0}], "edges": 3}, []])
def test_other_json_is_refused(broken):
    with pytest.raises(TopologyError, match="no saved topology"):
        Topology.from_json(broken)


def test_pickle_round_trip():
    topology = pickle.loads(pickle.dumps(Topology.build("florentine")))
    assert topology.edges() == Topology.build("florentine").edges()
    error = pickle.loads(pickle.dumps(TopologyError("What.", "Advice.", "nodes")))
    assert (str(error), error.field) == ("What. Advice.", "nodes")


def test_permuted_moves_neighbours_and_labels():
    topology = Topology.build("florentine")
    permutation = np.random.default_rng(0).permutation(15).tolist()
    moved = topology.permuted(permutation)
    for node in range(15):
        assert moved.neighbours(permutation[node]) == tuple(sorted(permutation[j] for j in topology.neighbours(node)))
        assert moved.labels[permutation[node]] == topology.labels[node]
    with pytest.raises(TopologyError, match="not a permutation"):
        topology.permuted([0] * 15)


def test_from_networkx_names_and_labels():
    topology = Topology.from_networkx(nx.path_graph(["b", "a"]), name="pair")
    assert topology.graph_name == "pair"
    assert topology.labels == ("a", "b")
    with pytest.raises(TopologyError, match="Did you mean 'lazy'"):
        Topology.from_networkx(nx.path_graph(2), weights="lasy")


@pytest.mark.parametrize(
    ("graph", "text"),
    [
        (nx.Graph(), "no nodes"),
        (nx.Graph([(0, 1), (1, 1)]), "links nodes to themselves: 1"),
        (nx.disjoint_union(nx.path_graph(2), nx.path_graph(3)), "its 2 parts are {0, 1}, {2, 3, 4}"),
        (nx.empty_graph(20), "{6}, {7}, ..."),
        (nx.path_graph(3, create_using=nx.DiGraph), "not strongly connected; its 3 parts are {0}, {1}, {2}"),
    ],
)
def test_bad_graphs_are_refused(graph, text):
    with pytest.raises(TopologyError) as caught:
        Topology.from_networkx(graph)
    assert text in str(caught.value)


def test_metropolis_hastings_refuses_uneven_digraphs():
    graph = nx.DiGraph([(0, 1), (1, 2), (2, 0), (0, 2)])
    for name in ("metropolis_hastings", "lazy"):
        with pytest.raises(TopologyError, match="Set weights to row_stochastic"):
            Topology.from_networkx(graph, name)
    assert not Topology.from_networkx(graph, "row_stochastic").is_doubly_stochastic


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([[0.5, 0.5]], "shape (1, 2), not (3, 3)"),
        ([[1, 0, 0], [0.5, 0.6, -0.1], [0, 0, 1]], "W[1, 2] is"),
        ([[1, 0, 0], [0, float("nan"), 0], [0, 0, 1]], "W[1, 1] is"),
        ([[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]], "W[0, 2] is"),
        ([[1, 0, 0], [0, float("inf"), 0], [0, 0, 1]], "Row 1 of W sums to"),
        ([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5 + 1e-9]], "Row 2 of W sums to"),
    ],
)
def test_bad_weights_are_refused(weights, text):
    with pytest.raises(TopologyError) as caught:
        Topology("chain", nx.path_graph(3), np.array(weights), "by_hand")
    assert text in str(caught.value)
    assert caught.value.field == "weights"


def test_weights_named_push_must_have_stochastic_columns():
    weights = np.array([[0.5, 0.25], [0.5, 0.75]])
    topology = Topology("pair", nx.path_graph(2), weights, "push")
    assert topology.push
    assert topology.is_column_stochastic
    assert Topology.from_json(topology.to_json()).push
    with pytest.raises(TopologyError, match=r"Row 0 of W sums to .*0\.75"):
        Topology("pair", nx.path_graph(2), weights, "by_hand")
    with pytest.raises(TopologyError, match=r"Column 0 of W sums to .*0\.75.*Divide each column by its sum"):
        Topology("pair", nx.path_graph(2), weights.T, "push")


def test_weight_against_the_arrow_is_refused():
    graph = nx.cycle_graph(3, create_using=nx.DiGraph)
    forwards = np.eye(3) / 2 + np.eye(3, k=-1) / 2 + np.eye(3, k=2) / 2
    assert Topology("cycle", graph, forwards, "by_hand").in_neighbours(1) == (0,)
    with pytest.raises(TopologyError, match="those it hears from"):
        Topology("cycle", graph, forwards.T, "by_hand")


def test_unnumbered_nodes_are_refused():
    with pytest.raises(TopologyError, match=r"Use Topology\.from_networkx"):
        Topology("pair", nx.path_graph(["a", "b"]), np.eye(2), "by_hand")
