"""Attackers: where they are put, what they leave of the graph, and the vector that an attack follows."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest

from topologies import Topology, TopologyError
from topologies.adversaries import PLACES, choose, distances_to_nearest, fiedler_vector, honest_graph, laplacian

GRAPHS = [Topology.build(*args) for args in (("ring", 16), ("torus", 16), ("karate",), ("exponential", 16))]
each_graph = pytest.mark.parametrize("topology", GRAPHS, ids=lambda topology: topology.graph_name)


@pytest.mark.parametrize("place", PLACES)
@each_graph
def test_the_seed_decides_and_nothing_else(topology, place):
    chosen = [choose(topology, 3, place, seed) for seed in (0, 0, 1, 2, 3)]
    assert chosen[0] == chosen[1]
    alike = topology.graph_name != "karate" or place in ("random", "apart")  # else one node stands out
    assert (len(set(chosen)) > 1) == alike
    for nodes in chosen:
        assert list(nodes) == sorted(set(nodes))
        assert len(nodes) == 3
        assert all(type(node) is int for node in nodes)  # they are written into an experiment


@pytest.mark.parametrize("place", PLACES)
def test_attackers_are_chosen_beside_those_that_there_are(place):
    for seed in range(10):
        chosen = choose(GRAPHS[2], 4, place, seed, beside={5, 24})
        assert len(chosen) == 4
        assert not {5, 24} & set(chosen)


def test_every_node_is_as_likely_at_random():
    counts = Counter(node for seed in range(800) for node in choose(GRAPHS[0], 4, "random", seed))
    assert set(counts) == set(range(16))
    assert max(abs(count - 200) for count in counts.values()) < 60  # five standard deviations


@pytest.mark.parametrize("count", [1, 3, 5, 8])
@each_graph
def test_no_two_that_are_apart_are_linked(topology, count):
    count = min(count, 3) if topology.graph_name == "exponential" else count
    links = topology.graph.to_undirected()
    for seed in range(5):
        chosen = choose(topology, count, "apart", seed)
        assert len(chosen) == count
        assert links.subgraph(chosen).number_of_edges() == 0


def test_the_half_of_a_large_torus_is_found_which_random_orders_do_not_find():
    chosen = choose(Topology.build("torus", 64), 32, "apart")
    assert len({sum(divmod(node, 8)) % 2 for node in chosen}) == 1  # one colour of a chessboard


def test_those_apart_are_not_linked_to_attackers_that_there_are():
    assert choose(GRAPHS[0], 7, "apart", beside=[3]) == (1, 5, 7, 9, 11, 13, 15)
    with pytest.raises(TopologyError, match="were not found in the ring graph, but 7"):
        choose(GRAPHS[0], 8, "apart", beside=[3])


def test_degree_and_betweenness_take_the_highest():
    karate = GRAPHS[2]
    assert choose(karate, 3, "degree") == (0, 32, 33)
    assert choose(karate, 2, "betweenness") == (0, 33)
    barbell = Topology.from_networkx(nx.barbell_graph(5, 1))  # the node between has two links, others four or more
    assert choose(barbell, 1, "betweenness") == (5,)
    assert choose(barbell, 2, "degree") == (4, 6)


@pytest.mark.parametrize(
    ("arguments", "field", "text"),
    [
        ({"count": 0}, "adversaries", "Choose 1 or more"),
        ({"count": 15}, "adversaries", "Of 16 nodes, 1 would be honest. Leave two or more"),
        ({"count": 20}, "adversaries", "0 would be honest"),
        ({"count": 3, "beside": range(12)}, "adversaries", "1 would be honest"),
        ({"count": 2, "place": "apard"}, "place", "Did you mean 'apart'"),
        ({"count": 9, "place": "apart"}, "adversaries", "were not found in the ring graph, but 8"),
    ],
)
def test_what_cannot_be_chosen_is_refused(arguments, field, text):
    with pytest.raises(TopologyError, match=text) as caught:
        choose(GRAPHS[0], **arguments)
    assert caught.value.field == field


def test_honest_nodes_keep_their_numbers_and_links():
    honest = honest_graph(Topology.build("ring", 6), [2])
    assert list(honest) == [0, 1, 3, 4, 5]
    assert {frozenset(link) for link in honest.edges} == {frozenset(link) for link in [(0, 1), (3, 4), (4, 5), (5, 0)]}
    assert len(honest_graph(Topology.build("ring", 6), ())) == 6


@pytest.mark.parametrize(
    ("graph", "attackers", "text"),
    [
        ("ring", (16,), "There is no node 16. Count from 0 to 15"),
        ("ring", (-1,), "There is no node -1"),
        ("ring", range(16), "0 would be honest"),
        ("ring", range(15), "1 would be honest"),
        ("ring", (0, 3), r"apart into \{1, 2\}, \{4, 5, .*, ...\}: attackers decide"),
        ("chain", (0, 2), r"apart into \{1\}, \{3, 4, .*\}: node 2, a cut vertex, decides"),
        ("star", (0,), "node 0, a cut vertex, decides"),
    ],
)
def test_attackers_that_leave_no_honest_network_are_refused(graph, attackers, text):
    with pytest.raises(TopologyError, match=text) as caught:
        honest_graph(Topology.build(graph, 16), attackers)
    assert caught.value.field == "adversaries"


def test_news_has_to_get_round_in_a_directed_graph():
    one_way = Topology.from_networkx(nx.cycle_graph(6, create_using=nx.DiGraph), "row_stochastic")
    assert distances_to_nearest(one_way, [0]) == {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}
    with pytest.raises(TopologyError, match="The honest nodes fall apart"):
        honest_graph(one_way, [0])


def test_distances_are_to_the_nearest():
    assert distances_to_nearest(Topology.build("ring", 8), [0, 3]) == {1: 1, 2: 1, 4: 1, 5: 2, 6: 2, 7: 1}
    assert distances_to_nearest(Topology.build("ring", 8), ()) == {}


def test_every_link_counts_one_whatever_its_weight_or_direction():
    expected = [[2, -1, -1], [-1, 1, 0], [-1, 0, 1]]
    assert laplacian(nx.Graph([(0, 1, {"weight": 5}), (2, 0, {"weight": 0.1})])).tolist() == expected
    assert laplacian(nx.DiGraph([(1, 0), (0, 1), (0, 2)])).tolist() == expected


def test_the_fiedler_vector_of_a_chain_is_a_cosine():
    found = fiedler_vector(honest_graph(Topology.build("ring", 9), [8]))  # a chain of 8, of which 0 and 7 are the ends
    cosine = np.cos(np.pi * (np.arange(8) + 0.5) / 8)
    np.testing.assert_allclose(list(found.values()), cosine / np.linalg.norm(cosine), atol=1e-12)
    assert list(found) == list(range(8))


def test_the_fiedler_vector_tells_two_worlds_apart():
    found = fiedler_vector(Topology.build("two_worlds", 26, links=8).graph)
    np.testing.assert_allclose(list(found.values()), np.repeat([1, -1], 13) / np.sqrt(26), atol=1e-12)


@pytest.mark.parametrize(("graph", "nodes"), [("ring", 8), ("torus", 16), ("hypercube", 16), ("complete", 8)])
def test_the_fiedler_vector_of_a_multiple_eigenvalue_does_not_depend_on_how_it_is_computed(graph, nodes):
    """Renaming nodes gives other bases of the eigenspace; the vector is the projection of the first node's."""
    topology = Topology.build(graph, nodes)
    matrix = laplacian(topology.graph)
    vector = np.array(list(fiedler_vector(topology.graph).values()))
    second = np.linalg.eigvalsh(matrix)[1]
    np.testing.assert_allclose(matrix @ vector, second * vector, atol=1e-9)
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert vector[0] == vector.max() > 0
    for seed in range(5):  # the neighbours of node 0, renamed among each other by a symmetry, keep its value
        order = np.r_[0, 1 + np.random.default_rng(seed).permutation(nodes - 1)]
        renamed = fiedler_vector(topology.permuted(order.tolist()).graph)
        np.testing.assert_allclose([renamed[node] for node in order], vector, atol=1e-9)


def test_a_single_node_has_no_fiedler_vector():
    with pytest.raises(TopologyError, match="no Fiedler vector"):
        fiedler_vector(nx.empty_graph(1))
