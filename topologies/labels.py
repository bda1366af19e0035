"""Node names: every graph of this package has the nodes 0..n-1; other names live on as labels."""

import re
from collections.abc import Hashable

import networkx as nx

from topologies.errors import require


def relabelled(graph: nx.Graph) -> nx.Graph:
    """Rename the nodes of any graph to 0..n-1, in the natural order of their names ("E2" before "E10").

    Nodes that are 0..n-1 already keep their numbers. A node's former name, or its own "label" attribute, is kept as the
    attribute "label" where it says more than the number. All other attributes are dropped, edge weights among them:
    a mixing matrix never comes from an edge's "weight".

    Args:
        graph: a graph or digraph; parallel edges count once.

    Returns:
        A new `networkx.Graph`, or `networkx.DiGraph` if the given graph is directed.

    Raises:
        TopologyError: the graph has no nodes.
    """
    require(len(graph) > 0, "The graph has no nodes.", "Give at least one node.")
    number = {name: i for i, name in enumerate(sorted(graph, key=_natural_order))}
    result = nx.DiGraph() if graph.is_directed() else nx.Graph()
    for name, i in number.items():
        label = str(graph.nodes[name].get("label", name))
        result.add_node(i, **({} if label == str(i) else {"label": label}))
    result.add_edges_from((number[u], number[v]) for u, v in graph.edges())
    return result


def labels(graph: nx.Graph) -> tuple[str, ...]:
    """Name of each node 0..n-1: its label, or its number if it has none."""
    return tuple(str(graph.nodes[i].get("label", i)) for i in range(len(graph)))


def _natural_order(name: Hashable) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(name))]
