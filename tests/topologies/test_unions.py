"""Declared unions: several networks in one graph, between which nothing travels; never by accident."""

import json

import networkx as nx
import numpy as np
import pytest

from topologies import (
    Failures,
    Links,
    Network,
    Topology,
    TopologyError,
    blocks,
    build_schedule,
    diameter,
    distances,
    draw,
    expected_rounds_to_halve,
    links_cut,
    spectral_gap,
)

RINGS = {"of": "ring", "copies": 2}


@pytest.mark.parametrize(
    ("graph", "nodes", "weights", "options"),
    [
        ("ring", 6, "metropolis_hastings", {}),
        ("florentine", None, "lazy", {}),
        ("exponential", 5, "uniform", {}),
        ("star", 4, "push", {}),
        ("erdos_renyi", 8, "row_stochastic", {"seed": 3}),
        ("ring", 1, "metropolis_hastings", {}),
    ],
)
def test_a_copy_is_the_topology_with_other_numbers(graph, nodes, weights, options):
    one = Topology.build(graph, nodes, weights, **options)
    n, union = one.num_nodes, one.copies(3)
    assert (union.components, union.num_nodes, union.push) == (3, 3 * n, one.push)
    assert union.graph.is_directed() == one.graph.is_directed()
    np.testing.assert_array_equal(union.weights, np.kron(np.eye(3), one.weights))
    for node in range(3 * n):
        first = node - node % n
        assert union.row(node) == {first + j: weight for j, weight in one.row(node % n).items()}
        assert union.out_neighbours(node) == tuple(first + j for j in one.out_neighbours(node % n))
    if graph == "florentine":
        assert union.labels == 3 * one.labels
    assert one.copies(1).components == 1


def test_a_union_by_name():
    union = Topology.build("disjoint_union", 16, **RINGS)
    assert union.edges() == Topology.build("ring", 8).copies(2).edges()
    assert Topology.build("disjoint_union", of="florentine").num_nodes == 30
    torus = Topology.build("disjoint_union", 12, of="torus", options={"rows": 1})
    assert torus.edges() == Topology.build("ring", 6).copies(2).edges()
    drawn = [Topology.build("disjoint_union", 16, seed=seed, of="erdos_renyi").edges() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] == Topology.build("erdos_renyi", 8, seed=0).copies(2).edges() != drawn[2]
    nested = Topology.build("disjoint_union", 12, of="disjoint_union", options={"of": "ring", "copies": 3})
    assert (nested.components, nested.num_nodes) == (6, 12)


@pytest.mark.parametrize(
    ("nodes", "options", "field", "text"),
    [
        (15, RINGS, "nodes", "Set nodes to a multiple of 2"),
        (16, {"of": "rong"}, "of", "Did you mean 'ring'"),
        (16, {}, "of", "needs of"),
        (16, {"of": "ring", "copies": 0}, "copies", "1 or more"),
        (12, {"of": "torus", "options": {"rows": 4}}, "rows", "Choose rows among 1, 2, 3, 6"),
        (12, {"of": "torus", "options": {"rws": 2}}, "rws", "Did you mean 'rows'"),
    ],
)
def test_bad_unions_are_refused(nodes, options, field, text):
    with pytest.raises(TopologyError) as refused:
        Topology.build("disjoint_union", nodes, **options)
    assert refused.value.field == field
    assert text in str(refused.value)


def test_what_falls_apart_without_saying_so_is_refused_as_ever(tmp_path):
    union = Topology.build("disjoint_union", 8, **RINGS)
    with pytest.raises(TopologyError, match=r"its 2 parts are \{0, 1, 2, 3\}, \{4, 5, 6, 7\}"):
        Topology.from_networkx(union.graph)
    file = tmp_path / "union.json"
    file.write_text(json.dumps(union.to_json()))
    with pytest.raises(TopologyError, match="not connected"):
        Topology.build("from_file", path=str(file))
    cut = nx.Graph(union.graph)
    cut.remove_edges_from([(0, 1), (2, 3)])
    with pytest.raises(TopologyError, match="no union of 2 connected graphs; its 3 parts"):
        Topology("cut", cut, np.eye(8), "none")


def test_a_union_is_saved_permuted_and_cut_to_trees_as_one():
    union = Topology.build("disjoint_union", 10, **RINGS)
    again = Topology.from_json(json.loads(json.dumps(union.to_json())))
    assert (again.components, again.edges()) == (2, union.edges())
    assert "components" not in Topology.build("ring", 5).to_json()
    moved = union.permuted(np.random.default_rng(0).permutation(10).tolist())
    assert (moved.components, diameter(moved.graph)) == (2, 2)
    assert sorted(union.spanning_tree().degrees.tolist()) == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]


def test_nothing_travels_between_components():
    union = Topology.build("disjoint_union", 8, **RINGS)
    apart = np.kron(1 - np.eye(2), np.ones((4, 4))) > 0
    hops = distances(union.graph)
    assert np.isinf(hops[apart]).all()
    assert (hops[~apart].max(), diameter(union.graph)) == (2, 2)
    assert (np.linalg.matrix_power(union.weights, 50)[apart] == 0).all()
    assert expected_rounds_to_halve(spectral_gap(union.weights)) == np.inf


def test_a_network_over_time_is_copied_with_its_failures():
    topology = Topology.build("ring", 6)
    for schedule in ("static", "random_matching", "one_peer_exponential"):
        for failures in (Failures(), Failures(links=0.3, nodes=0.2, absences=((2, 2, 4),), seed=4)):
            network = Network(build_schedule(schedule, topology, seed=1), failures)
            union = network.copies(3)
            assert union.varies == network.varies
            for round in (0, 2, 5):
                one, all_ = network.at(round), union.at(round)
                np.testing.assert_array_equal(all_.weights, np.kron(np.eye(3), one.weights))
                np.testing.assert_array_equal(all_.active, np.tile(one.active, 3))
    assert Links.everyone(topology.weights).copies(2).row(6) == {j + 6: w for j, w in topology.row(0).items()}


def test_schedules_may_choose_among_the_links_but_not_bring_their_own():
    union = Topology.build("disjoint_union", 8, **RINGS)
    assert build_schedule("static", union).base.components == 2
    matched = build_schedule("random_matching", union, seed=0)
    assert (np.kron(1 - np.eye(2), np.ones((4, 4))) * matched.at(3).weights == 0).all()
    for name in ("one_peer_exponential", "base_graph", "random_regular", "sequence"):
        with pytest.raises(TopologyError, match="would join the 2 parts") as refused:
            build_schedule(name, union)
        assert refused.value.field == "schedule"


def test_unions_are_placed_and_drawn():
    union = Topology.build("ring", 6).copies(4)
    assert links_cut(union, blocks(union, 4)) == 0
    svg = draw(union)
    assert svg.count("<use") >= 24
    assert svg == draw(union)


def test_a_thousand_nodes_are_cheap():
    union = Topology.build("ring", 16).copies(64)
    assert union.weights.nbytes == 8 * 1024**2
    assert union.neighbours(1023) == (1008, 1022)
