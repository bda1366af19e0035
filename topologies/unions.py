"""Several networks side by side in one graph, on purpose: between its components nothing ever travels.

A graph that falls apart is refused wherever a topology is made, for mostly it is a mistake. One that is made here says
of itself how many components it has. Graphs from files and from networkx never do, so none gets through by accident.
"""

from collections.abc import Iterable

import networkx as nx

from topologies.errors import require
from topologies.memory import check_room

_DECLARED = "components"


def components(graph: nx.Graph) -> int:
    """How many components the graph says it has: 1, unless it is a declared union."""
    return int(graph.graph.get(_DECLARED, 1))


def declared(graph: nx.Graph, number: int) -> nx.Graph:
    """The graph itself, which says from now on that it has so many components; changed in place."""
    if number > 1:
        graph.graph[_DECLARED] = number
    return graph


def parts(graph: nx.Graph) -> list[list[int]]:
    """The nodes of each component that there really is (strongly connected, if directed), both ascending."""
    split: Iterable[set[int]] = (
        nx.strongly_connected_components(graph) if graph.is_directed() else nx.connected_components(graph)
    )
    return sorted(sorted(part) for part in split)


def side_by_side(graph: nx.Graph, copies: int) -> nx.Graph:
    """Copies of a graph as one: node r n + i is node i of copy r, with its label, where n is the number of nodes.

    Raises:
        TopologyError: `copies` is below 1.
    """
    require(copies >= 1, f"A union cannot have {copies} copies.", "Set copies to 1 or more.", "copies")
    check_room(copies * len(graph), copies * graph.number_of_edges())
    union, n = nx.DiGraph() if graph.is_directed() else nx.Graph(), len(graph)
    for first in range(0, copies * n, n):
        union.add_nodes_from((first + node, dict(data)) for node, data in graph.nodes(data=True))
        union.add_edges_from((first + u, first + v) for u, v in graph.edges())
    return declared(union, copies * components(graph))
