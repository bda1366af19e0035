"""What theory promises under attack, against values by hand and known spectra."""

import pickle

import networkx as nx
import numpy as np
import pytest

from topologies import Topology, TopologyError
from topologies.adversaries import CutApart
from topologies.breakdown import Breakdown


@pytest.mark.parametrize(
    ("topology", "smallest", "largest"),
    [
        (Topology.build("ring", 8), 2 - 2**0.5, 4),
        (Topology.from_networkx(nx.petersen_graph()), 2, 5),
        (Topology.build("torus", 16), 2, 8),
        (Topology.build("hypercube", 16), 2, 8),
        (Topology.build("complete", 8), 8, 8),
        (Topology.build("two_worlds", 26, links=8), 16, 21 + np.sin(8 * np.pi / 13) / np.sin(np.pi / 13)),
    ],
    ids=lambda value: getattr(value, "graph_name", ""),
)
def test_known_spectra_of_the_whole_graph(topology, smallest, largest):
    assert Breakdown.of(topology, ()).connectivities == pytest.approx((smallest, largest), abs=1e-9)


def test_a_ring_with_an_attacker_by_hand():
    """Nodes 1, 2, ..., 7 are a chain whose ends hear the attacker, all with weight 1/3."""
    found = Breakdown.of(Topology.build("ring", 8), [0])
    third, none = 1 / 3, 0.0
    assert found.byzantine_weights == pytest.approx({1: third, 2: none, 3: none, 4: none, 5: none, 6: none, 7: third})
    assert found.byzantine_neighbours == {1: 1, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 1}
    assert found.distances == {1: 1, 2: 2, 3: 3, 4: 4, 5: 3, 6: 2, 7: 1}
    chain = Topology.build("chain", 7, weights="uniform").weights  # 1/3 a link, and what is left on the diagonal
    np.testing.assert_allclose(found.honest_weights.toarray(), chain, atol=1e-15)
    assert found.honest_gap == pytest.approx(1 - (1 + 2 * np.cos(np.pi / 7)) / 3)
    assert found.connectivities == pytest.approx((2 - 2 * np.cos(np.pi / 7), 2 + 2 * np.cos(np.pi / 7)))
    assert (found.most, found.borne, found.proved, found.ruled_out) == (1, 0, False, True)


@pytest.mark.parametrize(
    ("honest", "lying", "borne", "proved", "ruled_out"),
    [
        (5, 1, 1, True, False),
        (4, 1, 0, False, False),  # mu_2 / 4 is 1, and b must be below
        (3, 1, 0, False, False),
        (2, 1, 0, False, True),  # mu_2 / 2 is 1
        (8, 2, 1, False, False),
        (9, 2, 2, True, False),
        (8, 3, 1, False, False),
        (8, 4, 1, False, True),
    ],
)
def test_bounds_are_strict_where_the_theory_is(honest, lying, borne, proved, ruled_out):
    """In a complete graph mu_2 is the number of honest nodes, and all hear all attackers."""
    found = Breakdown.of(Topology.build("complete", honest + lying), range(lying))
    assert found.connectivities[0] == pytest.approx(honest)
    assert found.most == lying
    assert (found.borne, found.proved, found.ruled_out) == (borne, proved, ruled_out)


def test_a_byzantine_cut_vertex_ends_the_matter():
    with pytest.raises(CutApart, match="node 0, a cut vertex") as caught:
        Breakdown.of(Topology.build("star", 6), [0])
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), CutApart)
    with pytest.raises(TopologyError) as caught:
        Breakdown.of(Topology.build("star", 6), [6])
    assert not isinstance(caught.value, CutApart)


def test_nodes_hear_along_the_arrows():
    """Node i of the exponential graph hears i - 1, i - 2 and i - 4; the bounds are not of directed graphs."""
    found = Breakdown.of(Topology.build("exponential", 8), [0])
    assert [node for node, heard in found.byzantine_neighbours.items() if heard] == [1, 2, 4]
    assert [node for node, weight in found.byzantine_weights.items() if weight] == [1, 2, 4]
    assert found.most == 1
    for bound in ("connectivities", "borne", "proved", "ruled_out"):
        with pytest.raises(TopologyError, match="go both ways"):
            getattr(found, bound)


def test_push_weights_are_refused():
    with pytest.raises(TopologyError, match="push weights are none"):
        Breakdown.of(Topology.build("ring", 8, weights="push"), [0])
