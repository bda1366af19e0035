"""Blocks of nodes: balanced, whole, and never cutting more links than the obvious divisions do."""

import time

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference.graphs import topologies

from topologies import Topology, TopologyError, blocks, links_cut


def contiguous(topology, parts):
    return [piece.tolist() for piece in np.array_split(np.arange(topology.num_nodes), parts)]


def directed_ring(nodes):
    return Topology.from_networkx(nx.cycle_graph(nodes, create_using=nx.DiGraph), "push")


@given(topologies(max_nodes=12), st.data())
def test_blocks_are_balanced_hold_every_node_once_and_cut_no_more_than_contiguous_ones(topology, data):
    parts = data.draw(st.integers(1, topology.num_nodes))
    found = blocks(topology, parts)

    assert sorted(node for block in found for node in block) == list(range(topology.num_nodes))
    assert {len(block) - topology.num_nodes // parts for block in found} <= {0, 1}
    assert all(list(block) == sorted(block) for block in found)
    assert links_cut(topology, found) <= links_cut(topology, contiguous(topology, parts))


def test_links_are_counted_in_each_direction():
    ring = Topology.build("ring", 6)

    assert links_cut(ring, [(0, 1, 2), (3, 4, 5)]) == 4
    assert links_cut(ring, [(0, 2, 4), (1, 3, 5)]) == 12
    assert links_cut(directed_ring(6), [(0, 1, 2), (3, 4, 5)]) == 2


def test_a_ring_with_shuffled_numbers_is_cut_like_a_ring():
    """The order of Cuthill and McKee walks both ways round at once: two links a boundary, and 3 boundaries."""
    ring = Topology.build("ring", 60).permuted(np.random.default_rng(0).permutation(60).tolist())

    assert links_cut(ring, blocks(ring, 4)) <= 12


@pytest.mark.slow
def test_exchanges_beat_both_orders_on_a_random_graph():
    topology = Topology.build("random_regular", 256, degree=6)
    cut = links_cut(topology, blocks(topology, 2))

    assert cut < 0.65 * links_cut(topology, contiguous(topology, 2))


def test_directed_graphs_are_divided_too():
    ring = directed_ring(12).permuted(np.random.default_rng(1).permutation(12).tolist())

    assert links_cut(ring, blocks(ring, 3)) <= 6


def test_the_same_blocks_every_time():
    topology = Topology.build("random_regular", 64, degree=4)

    assert blocks(topology, 3) == blocks(topology, 3)


@pytest.mark.parametrize(("graph", "settings"), [("torus", {}), ("random_regular", {"degree": 8})])
def test_a_thousand_nodes_take_under_two_seconds_of_a_core(graph, settings):
    topology = Topology.build(graph, 1024, **settings)
    began = time.process_time()
    blocks(topology, 8)

    assert time.process_time() - began < 2


@pytest.mark.parametrize("parts", [0, 5])
def test_an_impossible_number_of_blocks_is_refused(parts):
    with pytest.raises(TopologyError, match="cannot be divided") as caught:
        blocks(Topology.build("ring", 4), parts)

    assert caught.value.field == "parts"
