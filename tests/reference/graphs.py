"""Random topologies for property tests."""

import networkx as nx
from hypothesis import strategies as st

from topologies import WEIGHTS, Topology

DOUBLY_STOCHASTIC = ("metropolis_hastings", "uniform", "lazy")


@st.composite
def topologies(draw, max_nodes=8, weights=tuple(WEIGHTS)):
    """A connected undirected graph (a random tree and some more edges) with one of ``weights``."""
    n = draw(st.integers(1, max_nodes))
    graph = nx.empty_graph(n)
    graph.add_edges_from((node, draw(st.integers(0, node - 1))) for node in range(1, n))
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    graph.add_edges_from(draw(st.lists(pairs, max_size=8)) if n > 1 else ())
    return Topology.from_networkx(graph, draw(st.sampled_from(weights)))
