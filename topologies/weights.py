"""Mixing matrices: from a graph to the weights that nodes give what they hear.

A mixing matrix W is float64 of shape [nodes, nodes]. Row i holds the weights that node i uses: its model becomes
sum_j W[i, j] x_j. So W[i, j] > 0 for j != i means that j sends to i, which in a directed graph is the edge j -> i.
"""

from collections.abc import Callable, Iterable

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from topologies.errors import require

Matrix = NDArray[np.float64]


def metropolis_hastings(graph: nx.Graph) -> Matrix:
    """Symmetric, doubly stochastic: w_ij = 1 / (1 + max(deg_i, deg_j)), and w_ii takes the rest of the row.

    Source: Xiao, Boyd and Lall 2006, "Distributed Average Consensus with Time-Varying Metropolis Weights".
    A directed graph in which every node sends to d and hears from d others gets 1 / (d + 1), still doubly stochastic
    but not symmetric.

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].

    Raises:
        TopologyError: the graph is directed and the nodes differ in how many they send to or hear from.
    """
    links = _links(graph)
    degrees = links.sum(axis=1)
    even = not graph.is_directed() or bool((links.sum(axis=0) == degrees[0]).all() and (degrees == degrees[0]).all())
    wrong = "metropolis_hastings needs an undirected graph, or a directed one of equal degrees."
    require(even, wrong, "Set weights to row_stochastic.", "weights")
    return _with_self_weights(links / (1 + np.maximum.outer(degrees, degrees)))


def uniform(graph: nx.Graph) -> Matrix:
    """Max-degree weights: 1 / (deg_max + 1) for every link, and w_ii takes the rest of the row.

    deg_max is the largest number of nodes that a node hears from. On a regular graph this equals
    `metropolis_hastings`: 1 / (deg + 1), self included. Symmetric for an undirected graph; doubly stochastic wherever
    each node sends to as many as it hears from; row-stochastic always.

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].
    """
    links = _links(graph)
    return _with_self_weights(links / (1 + links.sum(axis=1).max()))


def lazy(graph: nx.Graph) -> Matrix:
    """(W + I) / 2 with W of `metropolis_hastings`: half of each step stays put, so no eigenvalue is negative.

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].

    Raises:
        TopologyError: as `metropolis_hastings`.
    """
    weights: Matrix = (metropolis_hastings(graph) + np.eye(len(graph))) / 2
    return weights


def row_stochastic(graph: nx.Graph) -> Matrix:
    """Plain mean over a node and those it hears from: w_ij = 1 / (1 + deg_i).

    Works for every directed graph, but does not preserve the average of the nodes: an undirected graph agrees on the
    mean weighted by deg_i + 1.

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].
    """
    heard: Matrix = _links(graph) + np.eye(len(graph))
    weights: Matrix = heard / heard.sum(axis=1, keepdims=True)
    return weights


def push(graph: nx.Graph) -> Matrix:
    """Column-stochastic, for push-sum: node j splits its mass evenly, w_ij = 1 / (1 + number of nodes j sends to).

    Works for every directed graph and preserves the sum over the nodes. The rows need not sum to 1, so a node must
    divide what it gets by its push-sum weight, which travels the same way, to agree on the plain mean.
    Source: Kempe, Dobra and Gehrke 2003, "Gossip-Based Computation of Aggregate Information".

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].
    """
    sent: Matrix = _links(graph) + np.eye(len(graph))
    weights: Matrix = sent / sent.sum(axis=0)
    return weights


def exchanges(nodes: int, pairs: Iterable[tuple[int, int, float]]) -> Matrix:
    """Symmetric, doubly stochastic: of each pair (u, v, w), u takes weight w from v, and v from u.

    Args:
        nodes: number of nodes n.
        pairs: each pair of nodes at most once; the weights of a node's pairs sum to at most 1.

    Returns:
        W, float64 [n, n]; what a node does not take, it keeps.
    """
    links = np.zeros((nodes, nodes))
    for u, v, weight in pairs:
        links[u, v] = links[v, u] = weight
    return _with_self_weights(links)


def block_diagonal(weights: Matrix, copies: int) -> Matrix:
    """Block-diagonal: copies of W side by side, and zero between them; float64 [copies * n, copies * n]."""
    return np.asarray(np.kron(np.eye(copies), weights), dtype=np.float64)


def is_symmetric(weights: Matrix, tolerance: float = 1e-12) -> bool:
    """Whether W equals its transpose, entry by entry within `tolerance`."""
    return bool(np.abs(weights - weights.T).max() <= tolerance)


def is_doubly_stochastic(weights: Matrix, tolerance: float = 1e-12) -> bool:
    """Whether rows and columns of W all sum to 1 within `tolerance`: then mixing preserves the average."""
    sums = np.concatenate([weights.sum(axis=0), weights.sum(axis=1)])
    return bool(np.abs(sums - 1).max() <= tolerance)


def is_row_stochastic(weights: Matrix, tolerance: float = 1e-12) -> bool:
    """Whether the rows of W all sum to 1 within `tolerance`: then nodes that agree stay where they are."""
    return bool(np.abs(weights.sum(axis=1) - 1).max() <= tolerance)


def is_column_stochastic(weights: Matrix, tolerance: float = 1e-12) -> bool:
    """Whether the columns of W all sum to 1 within `tolerance`: then mixing preserves the sum over the nodes."""
    return bool(np.abs(weights.sum(axis=0) - 1).max() <= tolerance)


def _links(graph: nx.Graph) -> Matrix:
    # networkx has 1 at [sender, receiver]; and edges of social networks carry a "weight" that must not count.
    adjacency: Matrix = nx.to_numpy_array(graph, nodelist=range(len(graph)), weight=None)
    return np.ascontiguousarray(adjacency.T)


def _with_self_weights(links: Matrix) -> Matrix:
    return links + np.diag(1 - links.sum(axis=1))


WEIGHTS: dict[str, Callable[[nx.Graph], Matrix]] = {
    weights.__name__: weights for weights in (metropolis_hastings, uniform, lazy, row_stochastic, push)
}
"""Every named mixing matrix."""
