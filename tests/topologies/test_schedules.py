"""Schedules: the laws of every round, repeatability, and what is refused."""

import json
import pickle

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies import SCHEDULES, Links, Schedule, Topology, TopologyError, build_schedule, draw

laws = settings(deadline=None, max_examples=25)
NAMED = {
    "static": {},
    "one_peer_exponential": {},
    "random_matching": {},
    "random_regular": {"degree": 2, "every": 3},
    "sequence": {"graphs": [nx.path_graph(8), nx.cycle_graph(8)]},
    "base_graph": {"degree": 2},
}
named = pytest.mark.parametrize("name", NAMED)


def erdos_renyi(nodes, seed):
    return Topology.build("erdos_renyi", nodes, probability=0.6, seed=seed)


def matchings():
    return [nx.from_edgelist(pairs) for pairs in ([(0, 1), (2, 3)], [(1, 2), (0, 3)])]


def test_every_named_schedule_is_covered():
    assert set(NAMED) == set(SCHEDULES)


@named
@pytest.mark.parametrize("weights", ["metropolis_hastings", "push"])
def test_named_schedules_keep_the_laws(name, weights):
    schedule = build_schedule(name, Topology.build("ring", 8, weights), **NAMED[name])
    assert (schedule.name, schedule.num_nodes, schedule.base.push) == (name, 8, weights == "push")
    union = set()
    for round in range(40):
        links = schedule.at(round)
        union.update(links.edges())
        assert links.push == (weights == "push")
        assert links.active.all()
        assert links.is_column_stochastic
        assert links.is_doubly_stochastic or (name, weights) == ("sequence", "push")
    assert union <= set(schedule.base.edges())
    assert schedule.period is None or union == set(schedule.base.edges())


@named
def test_a_round_is_the_same_whenever_and_wherever_it_is_asked_for(name):
    def build(seed=3):
        return build_schedule(name, Topology.build("complete", 8), seed, **NAMED[name])

    forwards, backwards, other = build(), pickle.loads(pickle.dumps(build())), build(seed=4)
    late = [backwards.at(round).weights for round in reversed(range(30))]
    early = [forwards.at(round).weights for round in range(30)]
    np.testing.assert_array_equal(early, late[::-1])
    assert (forwards.period is None) == any((other.at(i).weights != early[i]).any() for i in range(30))


@named
def test_periods_and_rounds_asked_for_twice(name):
    schedule = build_schedule(name, Topology.build("complete", 8), **NAMED[name])
    assert schedule.at(5) is schedule.at(5)
    if schedule.period:
        assert schedule.at(1) is schedule.at(1 + schedule.period)
        np.testing.assert_allclose(
            schedule.base.weights, np.mean([schedule.at(i).weights for i in range(schedule.period)], axis=0)
        )
    with pytest.raises(TopologyError, match="There is no round -1"):
        schedule.at(-1)


@named
def test_labels_reach_the_base_and_the_base_can_be_drawn_and_saved(name):
    topology = Topology.build("florentine")
    options = NAMED[name] | ({"graphs": [topology]} if name == "sequence" else {})
    base = build_schedule(name, topology, **options).base
    assert base.labels == topology.labels
    assert draw(base).count("<svg") == 1
    again = Topology.from_json(json.loads(json.dumps(base.to_json())))
    assert again.weights.tobytes() == base.weights.tobytes()


def test_static_is_the_topology_itself():
    topology = Topology.build("karate")
    schedule = build_schedule("static", topology)
    assert schedule.base is topology
    assert schedule.period == 1
    np.testing.assert_array_equal(schedule.at(77).weights, topology.weights)


@pytest.mark.parametrize("nodes", range(1, 34))
def test_one_peer_exponential_is_exact_for_powers_of_two_only(nodes):
    schedule = build_schedule("one_peer_exponential", Topology.build("ring", nodes))
    assert schedule.base.edges() == Topology.build("exponential", nodes).edges()
    product = np.eye(nodes)
    for index in range(schedule.period):
        product = schedule.at(index).weights @ product
    exact = np.abs(product - 1 / nodes).max() < 1e-12
    assert exact == (nodes & (nodes - 1) == 0)


def test_one_peer_exponential_by_hand():
    schedule = build_schedule("one_peer_exponential", Topology.build("ring", 5))
    assert schedule.period == 3
    assert schedule.at(1).edges() == [(0, 2), (1, 3), (2, 4), (3, 0), (4, 1)]
    assert schedule.at(5).row(0) == {0: 0.5, 1: 0.5}
    twelve = [build_schedule("one_peer_exponential", Topology.build("ring", 12)).at(i).weights for i in range(4)]
    assert np.abs(np.linalg.multi_dot(twelve) - 1 / 12).max() == pytest.approx(0.042, abs=1e-3)


@laws
@given(st.integers(1, 12), st.integers(0, 99), st.integers(0, 10**6))
def test_random_matchings_are_maximal_projections_along_links(nodes, seed, round):
    topology = erdos_renyi(nodes, seed)
    links = build_schedule("random_matching", topology, seed).at(round)
    assert links.is_doubly_stochastic
    np.testing.assert_array_equal(links.weights, links.weights.T)
    np.testing.assert_array_equal(links.weights @ links.weights, links.weights)
    assert set(links.edges()) <= set(topology.edges())
    free = {node for node in range(nodes) if not links.in_neighbours(node)}
    assert not any(u in free and v in free for u, v in topology.edges())


@pytest.mark.parametrize("nodes", [1, 2, 7, 8])
def test_matchings_of_a_complete_graph_are_perfect(nodes):
    schedule = build_schedule("random_matching", Topology.build("complete", nodes), seed=1)
    for round in range(20):
        assert len(schedule.at(round).edges()) == nodes // 2 * 2


def test_matchings_of_a_complete_graph_are_uniform():
    schedule = build_schedule("random_matching", Topology.build("complete", 4), seed=1)
    partners = [schedule.at(round).in_neighbours(0)[0] for round in range(900)]
    # Each of three partners is expected 300 times, with a standard deviation of 14.
    np.testing.assert_allclose(np.bincount(partners, minlength=4), [0, 300, 300, 300], atol=60)


def test_random_matchings_use_every_link():
    topology = Topology.build("karate")
    schedule = build_schedule("random_matching", topology, seed=2)
    assert set().union(*(schedule.at(round).edges() for round in range(300))) == set(topology.edges())


@laws
@given(st.integers(3, 14), st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_random_regular_graphs_are_redrawn(nodes, degree, every, round):
    nodes = max(nodes, degree + 1)
    nodes += nodes * degree % 2
    schedule = build_schedule("random_regular", Topology.build("ring", nodes), 7, degree=degree, every=every)
    links = schedule.at(round)
    assert links.is_doubly_stochastic
    assert {len(links.in_neighbours(node)) for node in range(nodes)} == {degree}
    np.testing.assert_allclose(links.weights[links.weights > 0], 1 / (degree + 1), atol=1e-12)
    assert schedule.at(round // every * every) is links


def test_random_regular_changes_only_every_so_many_rounds():
    schedule = build_schedule("random_regular", Topology.build("ring", 16), degree=3, every=5)
    edges = [schedule.at(round).edges() for round in range(15)]
    assert edges[0] == edges[4] != edges[5] == edges[9] != edges[10]


def test_random_matching_reaches_the_average_on_a_sparse_graph():
    schedule, state = build_schedule("random_matching", Topology.build("ring", 8)), np.arange(8.0)
    for round in range(400):
        state = schedule.at(round).weights @ state
    np.testing.assert_allclose(state, 3.5, atol=1e-9)


def test_sequence_cycles_through_files_graphs_and_topologies(tmp_path):
    (tmp_path / "chain.edges").write_text("0 1\n1 2\n2 3\n")
    given = [str(tmp_path / "chain.edges"), matchings()[1], Topology.build("star", 4, "uniform")]
    schedule = build_schedule("sequence", Topology.build("complete", 4, "lazy"), graphs=given)
    assert schedule.period == 3
    np.testing.assert_array_equal(schedule.at(3).weights, Topology.build("chain", 4, "lazy").weights)
    assert schedule.at(4).edges() == [(0, 3), (1, 2), (2, 1), (3, 0)]
    np.testing.assert_array_equal(schedule.at(5).weights, given[2].weights)


def test_sequence_of_unconnected_graphs_mixes_if_they_connect_together():
    schedule, state = build_schedule("sequence", Topology.build("ring", 4), graphs=matchings()), np.arange(4.0)
    assert schedule.base.edges() == Topology.build("ring", 4).edges()
    np.testing.assert_allclose(schedule.at(1).weights @ schedule.at(0).weights @ state, 1.5)


def test_sequence_of_one_way_graphs():
    pieces = []
    for links in ([(0, 1)], [(1, 2)], [(2, 0)]):
        pieces.append(nx.empty_graph(3, create_using=nx.DiGraph))
        pieces[-1].add_edges_from(links)
    topology = Topology.build("ring", 3, "push")
    schedule = build_schedule("sequence", topology, graphs=pieces)
    assert schedule.base.edges() == [(0, 1), (1, 2), (2, 0)]
    values, mass = np.arange(3.0), np.ones(3)
    for round in range(200):
        values, mass = schedule.at(round).weights @ values, schedule.at(round).weights @ mass
    np.testing.assert_allclose(values / mass, 1, atol=1e-12)
    with pytest.raises(TopologyError, match="is not strongly connected; its 3 parts are") as caught:
        build_schedule("sequence", topology, graphs=pieces[:2])
    assert caught.value.field == "schedule"


RING, ONE_WAY = Topology.build("ring", 4), Topology.build("exponential", 5)
REFUSED = [
    ("sttic", RING, {}, "schedule", "Did you mean 'static'"),
    ("static", RING, {"every": 2}, "every", "The static schedule has no option 'every'"),
    ("random_regular", RING, {"degree": "2"}, "degree", "not of type int"),
    ("random_regular", RING, {"degree": 4}, "degree", "below nodes"),
    ("random_regular", RING, {"degree": 0}, "degree", "Set degree to 1 or more"),
    ("random_regular", Topology.build("ring", 5), {"degree": 3}, "degree", "Make nodes or degree even"),
    ("random_regular", RING, {"degree": 2, "every": 0}, "every", "Set every to 1 or more"),
    ("random_matching", ONE_WAY, {}, "graph", "Use an undirected graph"),
    ("sequence", RING, {}, "graphs", "The sequence schedule needs graphs"),
    ("sequence", RING, {"graphs": []}, "graphs", "graphs is [], not a list"),
    ("sequence", RING, {"graphs": "a.json"}, "graphs", "graphs is 'a.json', not a list"),
    ("sequence", RING, {"graphs": 3}, "graphs", "graphs is 3, which is not of type Sequence"),
    ("sequence", RING, {"graphs": ["nowhere.json"]}, "graphs", "There is no graph file"),
    ("sequence", RING, {"graphs": [nx.cycle_graph(5)]}, "graphs", "has 5 nodes, not 4"),
    ("sequence", RING, {"graphs": [RING, nx.cycle_graph("abcd")]}, "graphs", "name their nodes differently"),
    ("sequence", RING, {"graphs": [Topology.build("star", 4, "push")]}, "graphs", "Use push for all graphs"),
    ("sequence", RING, {"graphs": matchings()[:1]}, "schedule", "its 2 parts are {0, 1}, {2, 3}. Add edges between"),
]


@pytest.mark.parametrize(("name", "topology", "options", "field", "text"), REFUSED, ids=[case[-1] for case in REFUSED])
def test_refusals_name_the_setting_and_what_to_do(name, topology, options, field, text):
    with pytest.raises(TopologyError) as caught:
        build_schedule(name, topology, **options)
    assert caught.value.field == field
    assert text in str(caught.value)


def test_own_schedules_are_checked():
    def always(links):
        return lambda index: links

    with pytest.raises(TopologyError, match="Graph 0 of the schedule has 3 nodes, not 4"):
        Schedule("own", RING, always(Topology.build("ring", 3).links), period=1)
    with pytest.raises(TopologyError, match="Node 2 sends to node 0, but the base has no such edge"):
        Schedule("own", RING, always(Topology.build("complete", 4).links))
    with pytest.raises(TopologyError, match=r"The union of all rounds is not connected; its 4 parts are .* Add edges"):
        Schedule("own", RING, always(Links.everyone(np.eye(4))), period=1)
    with pytest.raises(TopologyError, match="Set period to 1 or more"):
        Schedule("own", RING, always(RING.links), period=0)
