"""Random topologies for property tests."""

import networkx as nx
from hypothesis import strategies as st

from topologies import WEIGHTS, Failures, Network, Topology, build_schedule

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


def over_time(topology, schedule="static", failures=None, **options):
    """The links of every round, for plans: those of a schedule with ``options``, less what ``failures`` take."""
    return Network(build_schedule(schedule, topology, **options), Failures(**failures or {}))


def stars(nodes):
    """One star for each node at its centre: none keeps the mean with `row_stochastic` weights, their mean matrix does.

    As networkx graphs for the schedule `sequence`.
    """
    graphs = [nx.empty_graph(nodes) for _ in range(nodes)]
    for centre, graph in enumerate(graphs):
        graph.add_edges_from((centre, node) for node in range(nodes) if node != centre)
    return graphs
