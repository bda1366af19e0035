"""Named graphs on the nodes 0..n-1: the regular families, and `GRAPHS`, the table of all names."""

from collections.abc import Callable, Mapping
from math import isqrt
from types import MappingProxyType
from typing import Any

import networkx as nx

from topologies.errors import TopologyError, require
from topologies.files import from_file
from topologies.lookup import checked_call, find
from topologies.memory import check_room
from topologies.random_graphs import erdos_renyi, random_regular, small_world
from topologies.social_graphs import davis, florentine, karate
from topologies.unions import side_by_side

_NONE: Mapping[str, Any] = MappingProxyType({})


def ring(nodes: int) -> nx.Graph:
    """Cycle: node i is linked to i - 1 and i + 1, modulo `nodes`.

    Args:
        nodes: at least 1; two nodes share one edge.

    Raises:
        TopologyError: `nodes` is below 1.
    """
    return torus(nodes, rows=1)


def torus(nodes: int, rows: int | None = None, columns: int | None = None) -> nx.Graph:
    """Grid whose borders are glued: each node is linked to the one above, below, left and right of it.

    Node r * columns + c stands in row r and column c. A side of 2 links its pair once and a side of 1 not at all.

    Args:
        nodes: at least 1.
        rows: number of rows; left out, it follows from `columns`, or the grid is as square as `nodes` allows.
        columns: number of columns; left out, it is nodes / rows.

    Raises:
        TopologyError: rows * columns cannot be `nodes`.
    """
    graph = _empty(nodes)
    rows, columns = _sides(nodes, rows, columns)
    for node in range(nodes):
        row, column = divmod(node, columns)
        right, below = row * columns + (column + 1) % columns, (row + 1) % rows * columns + column
        graph.add_edges_from((node, other) for other in (right, below) if other != node)
    return graph


def chain(nodes: int) -> nx.Graph:
    """Path 0 - 1 - ... - (nodes - 1).

    Raises:
        TopologyError: `nodes` is below 1.
    """
    return tree(nodes, branching=1)


def star(nodes: int) -> nx.Graph:
    """Node 0 in the middle, linked to every other node.

    Raises:
        TopologyError: `nodes` is below 1.
    """
    return tree(nodes, branching=max(nodes, 1))


def tree(nodes: int, branching: int = 2) -> nx.Graph:
    """Balanced tree with root 0, filled level by level, so that any number of nodes works.

    Args:
        nodes: at least 1.
        branching: number of children of each inner node, at least 1; the last inner node may have fewer.

    Raises:
        TopologyError: `nodes` or `branching` is below 1.
    """
    require(branching >= 1, f"A tree cannot have branching {branching}.", "Set branching to 1 or more.", "branching")
    graph = _empty(nodes)
    graph.add_edges_from(((node - 1) // branching, node) for node in range(1, nodes))
    return graph


def complete(nodes: int) -> nx.Graph:
    """Every node is linked to every other one.

    Raises:
        TopologyError: `nodes` is below 1.
    """
    check_room(nodes, nodes**2 / 2)
    graph = _empty(nodes)
    graph.add_edges_from((i, j) for i in range(nodes) for j in range(i))
    return graph


def two_worlds(nodes: int, links: int = 1) -> nx.Graph:
    """Two cliques of nodes / 2, in which each node is also linked to `links` nodes of the other clique.

    Node i of the first clique is linked to the nodes i, i + 1, ..., i + links - 1 of the second, modulo their number;
    those are the nodes from nodes / 2 on. Rules against attackers are measured on it (Gaucher, Dieuleveut and Hendrikx
    2025, "Unified Breakdown Analysis for Byzantine Robust Gossip").

    Args:
        nodes: even, at least 2.
        links: of each node to the other clique, 1 to nodes / 2.

    Raises:
        TopologyError: `nodes` is odd or below 2, or `links` out of range.
    """
    require(nodes >= 2 and nodes % 2 == 0, f"{nodes} nodes are no two worlds.", "Set nodes to an even number.", "nodes")
    half = nodes // 2
    wrong = f"A node cannot be linked to {links} of the {half} nodes of the other world."
    require(1 <= links <= half, wrong, f"Set links to 1 to {half}.", "links")
    check_room(nodes, nodes**2 / 4 + links * half)
    graph = nx.disjoint_union(complete(half), complete(half))
    graph.add_edges_from((i, half + (i + k) % half) for i in range(half) for k in range(links))
    return graph


def hypercube(nodes: int) -> nx.Graph:
    """Nodes whose binary numbers differ in exactly one digit are linked.

    Args:
        nodes: a power of two.

    Raises:
        TopologyError: `nodes` is not a power of two.
    """
    graph = _empty(nodes)
    dimensions = nodes.bit_length() - 1
    below, above = 2**dimensions, 2 ** (dimensions + 1)
    advice = f"Use {below} or {above} nodes."
    require(nodes == below, f"A hypercube needs a power of two of nodes, not {nodes}.", advice, "nodes")
    graph.add_edges_from((i, i ^ 1 << k) for i in range(nodes) for k in range(dimensions))
    return graph


def exponential(nodes: int) -> nx.DiGraph:
    """Static exponential graph, directed: node i sends to i + 1, i + 2, i + 4, ..., modulo `nodes`.

    Every node sends to, and hears from, ceil(log2(nodes)) others (Ying et al. 2021, "Exponential Graph is Provably
    Efficient for Decentralized Deep Training").

    Raises:
        TopologyError: `nodes` is below 1.
    """
    graph = nx.DiGraph(_empty(nodes))
    graph.add_edges_from((i, (i + 2**k) % nodes) for i in range(nodes) for k in range((nodes - 1).bit_length()))
    return graph


def disjoint_union(
    of: str, copies: int = 2, nodes: int | None = None, options: Mapping[str, Any] = _NONE, *, seed: int = 0
) -> nx.Graph:
    """Copies of a graph side by side, between which nothing ever travels: networks that train apart in one run.

    Args:
        of: name of the graph; a random one is drawn once, so copies are alike.
        copies: at least 1.
        nodes: of all copies together; may be left out where the graph decides it.
        options: further arguments of the graph's function, such as `rows` of a torus.
        seed: of a random graph.

    Raises:
        TopologyError: `nodes` cannot be divided by `copies`, or as the graph's function.
    """
    require(copies >= 1, f"A union cannot have {copies} copies.", "Set copies to 1 or more.", "copies")
    wrong = f"{nodes} nodes cannot be divided among {copies} copies."
    require(nodes is None or nodes % copies == 0, wrong, f"Set nodes to a multiple of {copies}.", "nodes")
    each = {} if nodes is None else {"nodes": nodes // copies}
    try:
        return side_by_side(named(of, {**options, **each}, seed), copies)
    except TopologyError as error:
        raise TopologyError(error.message, error.advice, "of" if error.field == "graph" else error.field) from error


def named(graph: str, options: Mapping[str, Any], seed: int) -> nx.Graph:
    """The graph of that name in `GRAPHS`, with these arguments; `seed` is for a random one.

    Raises:
        TopologyError: the name or an option is unknown, missing or out of range.
    """
    function = find(graph, GRAPHS, "graph")
    if isinstance(nodes := options.get("nodes"), int):
        check_room(nodes, nodes)
    seeded = {"seed": seed} if "seed" in function.__annotations__ else {}
    return checked_call(function, {**options, **seeded})


def is_random(graph: str, options: Mapping[str, Any]) -> bool:
    """Whether a seed decides what the graph of that name in `GRAPHS` is, with these arguments.

    Raises:
        TopologyError: there is no such graph.
    """
    if graph == "disjoint_union" and options.get("of") in GRAPHS:
        return is_random(options["of"], {})
    return "seed" in find(graph, GRAPHS, "graph").__annotations__


def _empty(nodes: int) -> nx.Graph:
    require(nodes >= 1, f"A graph cannot have {nodes} nodes.", "Set nodes to 1 or more.", "nodes")
    return nx.empty_graph(nodes)


def _sides(nodes: int, rows: int | None, columns: int | None) -> tuple[int, int]:
    for name, side in (("rows", rows), ("columns", columns)):
        if side is not None and (side < 1 or nodes % side):
            advice = f"Choose {name} among {', '.join(str(d) for d in range(1, nodes + 1) if nodes % d == 0)}."
            raise TopologyError(f"A torus of {nodes} nodes cannot have {side} {name}.", advice, name)
    if rows is None:
        rows = nodes // columns if columns else _most_square(nodes)
    if columns is None:
        columns = nodes // rows
    wrong = f"A torus of {rows} rows and {columns} columns has {rows * columns} nodes, not {nodes}."
    require(rows * columns == nodes, wrong, "Leave rows or columns out, or change nodes.", "rows")
    return rows, columns


def _most_square(nodes: int) -> int:
    return next(rows for rows in range(isqrt(nodes), 0, -1) if nodes % rows == 0)


GRAPHS: dict[str, Callable[..., nx.Graph]] = {
    graph.__name__: graph
    for graph in (
        *(ring, torus, chain, star, tree, complete, two_worlds, hypercube, exponential),
        *(random_regular, erdos_renyi, small_world),
        *(davis, florentine, karate),
        *(from_file, disjoint_union),
    )
}
"""Every named graph; keyword arguments are the function's, and a random graph takes `seed`."""
