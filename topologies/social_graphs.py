"""Social networks of fixed size that the decentralized-learning literature trains on; names are kept as labels."""

from collections.abc import Callable

import networkx as nx

from topologies.errors import require
from topologies.labels import relabelled


def davis(nodes: int | None = None) -> nx.Graph:
    """Davis Southern women: 18 women and the 14 events they attended, 89 edges.

    Args:
        nodes: 32, or left out.

    Raises:
        TopologyError: `nodes` is another number.
    """
    return _fixed("davis", nx.davis_southern_women_graph, nodes)


def florentine(nodes: int | None = None) -> nx.Graph:
    """Marriages among 15 families of Florence, 20 edges.

    Args:
        nodes: 15, or left out.

    Raises:
        TopologyError: `nodes` is another number.
    """
    return _fixed("florentine", nx.florentine_families_graph, nodes)


def karate(nodes: int | None = None) -> nx.Graph:
    """Friendships among the 34 members of Zachary's karate club, 78 edges, unweighted.

    Args:
        nodes: 34, or left out.

    Raises:
        TopologyError: `nodes` is another number.
    """
    return _fixed("karate", nx.karate_club_graph, nodes)


def _fixed(name: str, load: Callable[[], nx.Graph], nodes: int | None) -> nx.Graph:
    graph = relabelled(load())
    wrong = f"The {name} graph has {len(graph)} nodes, not {nodes}."
    require(nodes in (None, len(graph)), wrong, f"Set nodes to {len(graph)} or leave it out.", "nodes")
    return graph
