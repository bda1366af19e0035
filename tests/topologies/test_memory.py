"""Networks that cannot fit into memory are refused before anything is made."""

import networkx as nx
import pytest

from topologies import Topology, TopologyError, memory
from topologies.unions import side_by_side


@pytest.mark.parametrize(
    ("graph", "options"),
    [
        ("ring", {"nodes": 10**15}),
        ("complete", {"nodes": 20_000}),
        ("random_regular", {"nodes": 20_000, "degree": 19_998}),
        ("erdos_renyi", {"nodes": 20_000, "probability": 1.0}),
        ("small_world", {"nodes": 20_000, "degree": 19_998}),
        ("disjoint_union", {"of": "karate", "copies": 10**9}),
    ],
)
def test_a_network_too_large_is_refused_by_its_estimate(monkeypatch, graph, options):
    monkeypatch.setattr(memory, "physical_memory", lambda: 24 * 2**30)
    with pytest.raises(TopologyError, match=r"this machine has 24\.0 GiB") as caught:
        Topology.build(graph, **options)
    assert caught.value.field == "nodes"


def test_the_estimate_of_all_links_between_20_000_nodes(monkeypatch):
    monkeypatch.setattr(memory, "physical_memory", lambda: 24 * 2**30)
    with pytest.raises(TopologyError, match=r"its links take 55\.9 GiB"):
        Topology.build("complete", 20_000)


def test_only_who_asks_for_all_zeros_of_w_needs_room_for_them(monkeypatch):
    monkeypatch.setattr(memory, "physical_memory", lambda: 2**20)
    topology = Topology.build("ring", 2000)
    assert topology.matrix.nnz == 6000
    with pytest.raises(TopologyError, match="what looks at every pair of nodes takes"):
        _ = topology.weights


def test_yes_is_no_number():
    with pytest.raises(TopologyError, match="rows is True"):
        Topology.build("torus", 4, rows=True)


def test_as_many_copies_of_a_graph_as_do_not_fit_are_refused(monkeypatch):
    """A hundred times a hundred nodes, and not a hundred and a hundred more."""
    monkeypatch.setattr(memory, "physical_memory", lambda: 2**21)
    with pytest.raises(TopologyError, match=r"this machine has 0\.0 GiB"):
        side_by_side(nx.cycle_graph(100), 100)
