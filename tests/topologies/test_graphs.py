"""Named graphs: their edges, their sizes and what they refuse."""

import networkx as nx
import pytest

from topologies import GRAPHS, Topology, TopologyError
from topologies.graphs import (
    chain,
    complete,
    davis,
    erdos_renyi,
    exponential,
    florentine,
    hypercube,
    karate,
    random_regular,
    ring,
    small_world,
    star,
    torus,
    tree,
    two_worlds,
)


def edges(graph):
    return {tuple(sorted(edge)) for edge in graph.edges()}


@pytest.mark.parametrize("name", ["ring", "torus", "chain", "star", "tree", "complete", "hypercube", "exponential"])
@pytest.mark.parametrize(("nodes", "expected"), [(1, set()), (2, {(0, 1)})])
def test_smallest_graphs(name, nodes, expected):
    graph = GRAPHS[name](nodes)
    assert list(graph) == list(range(nodes))
    assert edges(graph) == expected


def test_small_graphs_by_hand():
    assert edges(ring(4)) == {(0, 1), (1, 2), (2, 3), (0, 3)}
    assert edges(chain(4)) == {(0, 1), (1, 2), (2, 3)}
    assert edges(star(4)) == {(0, 1), (0, 2), (0, 3)}
    assert edges(tree(6)) == {(0, 1), (0, 2), (1, 3), (1, 4), (2, 5)}
    assert edges(tree(6, branching=3)) == {(0, 1), (0, 2), (0, 3), (1, 4), (1, 5)}
    assert edges(complete(3)) == {(0, 1), (0, 2), (1, 2)}
    assert edges(hypercube(4)) == {(0, 1), (0, 2), (1, 3), (2, 3)}


def test_exponential_sends_powers_of_two_ahead():
    graph = exponential(6)
    assert graph.is_directed()
    assert sorted(graph.successors(5)) == [0, 1, 3]
    assert sorted(graph.predecessors(0)) == [2, 4, 5]


def test_torus_links_the_four_sides():
    graph = torus(12, rows=3)
    assert set(graph[0]) == {1, 3, 4, 8}
    assert set(graph[5]) == {4, 6, 1, 9}


@pytest.mark.parametrize(
    ("sides", "degree"),
    [((1, 7), 2), ((7, 1), 2), ((1, 2), 1), ((2, 2), 2), ((2, 5), 3), ((5, 2), 3), ((3, 3), 4), ((4, 6), 4)],
)
def test_torus_with_short_sides_has_no_loops_and_no_double_edges(sides, degree):
    rows, columns = sides
    graph = torus(rows * columns, rows=rows, columns=columns)
    assert nx.number_of_selfloops(graph) == 0
    assert {d for _, d in graph.degree()} == {degree}
    assert nx.is_connected(graph)


def test_two_worlds_are_cliques_with_so_many_links_of_each_node_between_them():
    assert edges(two_worlds(2)) == {(0, 1)}
    assert edges(two_worlds(6, links=2)) - edges(complete(6).subgraph([0, 1, 2])) - {(3, 4), (3, 5), (4, 5)} == {
        *((0, 3), (0, 4), (1, 4), (1, 5), (2, 5), (2, 3))
    }
    graph = two_worlds(26, links=8)
    assert {degree for _, degree in graph.degree()} == {12 + 8}
    assert graph.subgraph(range(13)).number_of_edges() == graph.subgraph(range(13, 26)).number_of_edges() == 13 * 12 / 2
    assert edges(two_worlds(8, links=4)) == edges(complete(8))


@pytest.mark.parametrize(("nodes", "rows"), [(16, 4), (12, 3), (32, 4), (7, 1)])
def test_torus_is_as_square_as_possible(nodes, rows):
    assert edges(torus(nodes)) == edges(torus(nodes, rows=rows))
    assert edges(torus(nodes)) == edges(torus(nodes, columns=nodes // rows))


@pytest.mark.parametrize("draw", [random_regular, erdos_renyi, small_world])
def test_random_graphs_follow_their_seed(draw):
    graph = draw(20, seed=5)
    assert list(graph) == list(range(20))
    assert edges(graph) == edges(draw(20, seed=5))
    assert edges(graph) != edges(draw(20, seed=6))


def test_random_graphs_have_the_shape_they_promise():
    assert {d for _, d in random_regular(20, degree=3, seed=0).degree()} == {3}
    assert edges(erdos_renyi(6, probability=1, seed=0)) == edges(complete(6))
    assert edges(small_world(8, degree=2, rewiring=0, seed=0)) == edges(ring(8))
    assert small_world(20, degree=6, rewiring=0.5, seed=0).number_of_edges() == 60


def test_random_graphs_are_drawn_again_until_connected():
    assert any(not nx.is_connected(nx.gnp_random_graph(12, 0.2, seed)) for seed in range(20))
    assert all(nx.is_connected(erdos_renyi(12, probability=0.2, seed=seed)) for seed in range(20))
    assert all(nx.is_connected(random_regular(12, degree=2, seed=seed)) for seed in range(20))


@pytest.mark.parametrize(("load", "nodes"), [(davis, 32), (florentine, 15), (karate, 34)])
def test_social_graphs_are_numbered_and_unweighted(load, nodes):
    graph = load(nodes)
    assert list(graph) == list(range(nodes))
    assert all(not data for _, _, data in graph.edges(data=True))
    assert edges(graph) == edges(load())


def test_social_graphs_keep_names_in_natural_order():
    names = [name for _, name in davis().nodes(data="label")]
    assert names[:3] == ["Brenda Rogers", "Charlotte McDowd", "Dorothy Murchison"]
    assert names.index("E10") == names.index("E9") + 1
    by_name = nx.relabel_nodes(florentine(), dict(florentine().nodes(data="label")))
    assert {frozenset(e) for e in by_name.edges} == {frozenset(e) for e in nx.florentine_families_graph().edges}


REFUSED = [
    ({"graph": "rnig", "nodes": 8}, "graph", "Did you mean 'ring'"),
    ({"graph": "???", "nodes": 8}, "graph", "Choose one of ring, torus"),
    ({"graph": "ring", "nodes": 8, "weights": "metropolis"}, "weights", "Did you mean 'metropolis_hastings'"),
    ({"graph": "ring"}, "nodes", "The ring graph needs nodes"),
    ({"graph": "ring", "nodes": 0}, "nodes", "cannot have 0 nodes"),
    ({"graph": "ring", "nodes": "8"}, "nodes", "nodes is '8', which is not of type int"),
    ({"graph": "ring", "nodes": 8, "rows": 2}, "rows", "The ring graph has no option 'rows'"),
    ({"graph": "torus", "nodes": 8, "row": 2}, "row", "Did you mean 'rows'"),
    ({"graph": "torus", "nodes": 0}, "nodes", "cannot have 0 nodes"),
    ({"graph": "torus", "nodes": 12, "rows": 5}, "rows", "Choose rows among 1, 2, 3, 4, 6, 12"),
    ({"graph": "torus", "nodes": 12, "columns": 0}, "columns", "cannot have 0 columns"),
    ({"graph": "torus", "nodes": 12, "rows": 2, "columns": 3}, "rows", "has 6 nodes, not 12"),
    ({"graph": "tree", "nodes": 12, "branching": 0}, "branching", "cannot have branching 0"),
    ({"graph": "two_worlds", "nodes": 7}, "nodes", "Set nodes to an even number"),
    ({"graph": "two_worlds", "nodes": 8, "links": 5}, "links", "Set links to 1 to 4"),
    ({"graph": "two_worlds", "nodes": 8, "links": 0}, "links", "Set links to 1 to 4"),
    ({"graph": "hypercube", "nodes": 12}, "nodes", "Use 8 or 16 nodes"),
    ({"graph": "random_regular", "nodes": 7, "degree": 3}, "degree", "Make nodes or degree even"),
    ({"graph": "random_regular", "nodes": 4}, "degree", "below nodes"),
    ({"graph": "random_regular", "nodes": 8, "degree": 1}, "degree", "Set degree to 3 or more"),
    ({"graph": "erdos_renyi", "nodes": 40, "probability": 0.01}, "probability", "Raise the probability"),
    ({"graph": "erdos_renyi", "nodes": 8, "probability": 1.5}, "probability", "outside [0, 1]"),
    ({"graph": "erdos_renyi", "nodes": 8, "probability": "high"}, "probability", "not of type"),
    ({"graph": "erdos_renyi", "nodes": 0}, "nodes", "cannot have 0 nodes"),
    ({"graph": "small_world", "nodes": 8, "degree": 3}, "degree", "even number"),
    ({"graph": "small_world", "nodes": 4}, "degree", "below nodes"),
    ({"graph": "small_world", "nodes": 8, "rewiring": -1}, "rewiring", "outside [0, 1]"),
    ({"graph": "davis", "nodes": 10}, "nodes", "Set nodes to 32"),
    ({"graph": "florentine", "nodes": 16}, "nodes", "Set nodes to 15"),
    ({"graph": "karate", "nodes": 16}, "nodes", "Set nodes to 34"),
    ({"graph": "from_file"}, "path", "needs path"),
]


@pytest.mark.parametrize(("settings", "field", "text"), REFUSED, ids=[text for _, _, text in REFUSED])
def test_refusals_name_the_setting_and_what_to_do(settings, field, text):
    with pytest.raises(TopologyError) as caught:
        Topology.build(**settings)
    assert caught.value.field == field
    assert text in str(caught.value)
    assert str(caught.value) == f"{caught.value.message} {caught.value.advice}"
    assert caught.value.message.endswith(".")
    assert caught.value.advice.endswith((".", "?"))
