"""Links of one round: their views, and what they refuse to be."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_array

from topologies import Links, Topology, TopologyError


@pytest.mark.parametrize(
    ("graph", "nodes", "weights"),
    [
        ("ring", 1, "metropolis_hastings"),
        ("star", 5, "metropolis_hastings"),
        ("exponential", 11, "uniform"),
        ("davis", None, "row_stochastic"),
        ("florentine", None, "push"),
    ],
)
def test_links_of_a_topology_say_the_same(graph, nodes, weights):
    topology = Topology.build(graph, nodes, weights)
    links = topology.links
    np.testing.assert_array_equal(links.weights, topology.weights)
    assert links.active.all()
    assert links.num_nodes == topology.num_nodes
    assert links.edges() == topology.edges()
    assert links.push == (weights == "push")
    assert links.is_doubly_stochastic == topology.is_doubly_stochastic
    assert links.is_column_stochastic == topology.is_column_stochastic
    for node in range(topology.num_nodes):
        assert links.row(node) == topology.row(node)
        assert list(links.row(node)) == list(topology.row(node))
        assert links.in_neighbours(node) == topology.in_neighbours(node)
        assert links.out_neighbours(node) == topology.out_neighbours(node)


def test_one_way_links_and_a_node_away():
    links = Links(np.array([[0, 0, 1], [0, 1, 0], [0.5, 0, 0.5]]), np.array([True, False, True]))
    assert links.edges() == [(0, 2), (2, 0)]
    assert links.row(0) == {0: 0.0, 2: 1.0}
    assert links.row(1) == {1: 1.0}
    assert links.in_neighbours(1) == links.out_neighbours(1) == ()


def test_links_cannot_be_changed():
    weights, active = np.eye(2), np.ones(2, dtype=bool)
    links = Links(weights, active)
    weights[0, 0], active[0] = 9, False
    assert links.weights[0, 0] == 1
    assert links.active.all()
    for values in (links.weights, links.active):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_pickle_round_trip():
    links = Topology.build("florentine").links
    assert pickle.loads(pickle.dumps(links)).weights.tobytes() == links.weights.tobytes()


@pytest.mark.parametrize(
    ("weights", "active", "push", "text"),
    [
        ([[1, 0]], [True, True], False, "shape (1, 2), not (2, 2)"),
        ([[1, 0], [0, 1]], [True], False, "shape (2, 2), not (1, 1)"),
        ([[1.5, -0.5], [0, 1]], [True, True], False, "W[0, 1] is"),
        ([[0.5, 0.25], [0.5, 0.75]], [True, True], False, "Row 0 of W sums to"),
        ([[0.5, 0.5], [0.25, 0.75]], [True, True], True, "Column 0 of W sums to"),
        ([[0.5, 0.5], [0.5, 0.5]], [True, False], False, "Nodes [1] are away"),
        ([[0.5, 0.5], [0, 1]], [True, False], False, "Nodes [1] are away"),
        ([[0.5, 0.5], [0, 1]], [False, True], False, "Nodes [0] are away"),
    ],
)
def test_bad_links_are_refused(weights, active, push, text):
    with pytest.raises(TopologyError) as caught:
        Links(np.array(weights), np.array(active), push)
    assert text in str(caught.value)
    assert caught.value.field == ("active" if "away" in text else "weights")


def test_a_matrix_that_nobody_may_write_to_is_no_links_as_it_is():
    """Explicit zeros are no links, and weights are floats."""
    given = csr_array((np.array([1, 0, 1]), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    for part in (given.data, given.indices, given.indptr):
        part.setflags(write=False)
    links = Links.everyone(given)
    assert links.in_neighbours(0) == ()
    assert (links.matrix.nnz, links.matrix.dtype, given.nnz) == (2, np.float64, 3)
