"""Mixing matrices: from a graph to the weights that nodes give what they hear.

A mixing matrix W is float64 of shape [nodes, nodes]. Row i holds the weights that node i uses: its model becomes
sum_j W[i, j] x_j. So W[i, j] > 0 for j != i means that j sends to i, which in a directed graph is the edge j -> i.
Few nodes hear of many, so W is sparse, by rows: 10,000 nodes would fill 800 MB of zeros.
"""

from collections.abc import Callable, Iterable
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, coo_array, csr_array, eye_array

from topologies.errors import require

Matrix = NDArray[np.float64]
ROWS = 256  # that are written out at a time


def metropolis_hastings(graph: nx.Graph) -> csr_array:
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
    receivers, senders = links.nonzero()
    return _with_self_weights(_holding(links, 1 / (1 + np.maximum(degrees[receivers], degrees[senders]))))


def uniform(graph: nx.Graph) -> csr_array:
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
    return _with_self_weights(_holding(links, links.data / (1 + links.sum(axis=1).max())))


def lazy(graph: nx.Graph) -> csr_array:
    """(W + I) / 2 with W of `metropolis_hastings`: half of each step stays put, so no eigenvalue is negative.

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].

    Raises:
        TopologyError: as `metropolis_hastings`.
    """
    both = csr_array(metropolis_hastings(graph) + eye_array(len(graph)))
    return _holding(both, both.data / 2)


def row_stochastic(graph: nx.Graph) -> csr_array:
    """Plain mean over a node and those it hears from: w_ij = 1 / (1 + deg_i).

    Works for every directed graph, but does not preserve the average of the nodes: an undirected graph agrees on the
    mean weighted by deg_i + 1.

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].
    """
    heard = csr_array(_links(graph) + eye_array(len(graph)))
    return _holding(heard, heard.data / heard.sum(axis=1)[heard.nonzero()[0]])


def push(graph: nx.Graph) -> csr_array:
    """Column-stochastic, for push-sum: node j splits its mass evenly, w_ij = 1 / (1 + number of nodes j sends to).

    Works for every directed graph and preserves the sum over the nodes. The rows need not sum to 1, so a node must
    divide what it gets by its push-sum weight, which travels the same way, to agree on the plain mean.
    Source: Kempe, Dobra and Gehrke 2003, "Gossip-Based Computation of Aggregate Information".

    Args:
        graph: nodes 0..n-1.

    Returns:
        W, float64 [n, n].
    """
    sent = csr_array(_links(graph) + eye_array(len(graph)))
    return _holding(sent, sent.data / sent.sum(axis=0)[sent.nonzero()[1]])


def exchanges(nodes: int, pairs: Iterable[tuple[int, int, float]]) -> csr_array:
    """Symmetric, doubly stochastic: of each pair (u, v, w), u takes weight w from v, and v from u.

    Args:
        nodes: number of nodes n.
        pairs: each pair of nodes at most once; the weights of a node's pairs sum to at most 1.

    Returns:
        W, float64 [n, n]; what a node does not take, it keeps.
    """
    listed = [(u, v, weight) for one, other, weight in pairs for u, v in ((one, other), (other, one))]
    receivers, senders, weights = (np.array([each[k] for each in listed]) for k in range(3))
    places = receivers.astype(np.int64), senders.astype(np.int64)
    return _with_self_weights(csr_array(coo_array((weights.astype(np.float64), places), shape=(nodes, nodes))))


def block_diagonal(weights: csr_array, copies: int) -> csr_array:
    """Block-diagonal: copies of W side by side, and zero between them; float64 [copies * n, copies * n]."""
    return csr_array(block_diag([weights] * copies, format="csr"))


def entries(matrix: csr_array) -> tuple[NDArray[np.int64], NDArray[np.integer[Any]]]:
    """The row and the column of each entry, as they are stored."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices


def row_sums(matrix: csr_array) -> Matrix:
    """What the rows sum to, float64 [n]: to the last bit what numpy has for a matrix with all its zeros."""
    blocks = [matrix[first : first + ROWS].toarray().sum(axis=1) for first in range(0, matrix.shape[0], ROWS)]
    return np.concatenate(blocks)


def is_symmetric(weights: Matrix | csr_array, tolerance: float = 1e-12) -> bool:
    """Whether W equals its transpose, entry by entry within `tolerance`."""
    if isinstance(weights, csr_array):
        other = csr_array(weights.T)
        if np.array_equal(other.indptr, weights.indptr) and np.array_equal(other.indices, weights.indices):
            return bool(np.abs(weights.data - other.data).max(initial=0) <= tolerance)
    return bool(abs(weights - weights.T).max() <= tolerance)


def is_doubly_stochastic(weights: Matrix | csr_array, tolerance: float = 1e-12) -> bool:
    """Whether rows and columns of W all sum to 1 within `tolerance`: then mixing preserves the average."""
    return is_row_stochastic(weights, tolerance) and is_column_stochastic(weights, tolerance)


def is_row_stochastic(weights: Matrix | csr_array, tolerance: float = 1e-12) -> bool:
    """Whether the rows of W all sum to 1 within `tolerance`: then nodes that agree stay where they are."""
    return bool(np.abs(weights.sum(axis=1) - 1).max() <= tolerance)


def is_column_stochastic(weights: Matrix | csr_array, tolerance: float = 1e-12) -> bool:
    """Whether the columns of W all sum to 1 within `tolerance`: then mixing preserves the sum over the nodes."""
    return bool(np.abs(weights.sum(axis=0) - 1).max() <= tolerance)


def _links(graph: nx.Graph) -> csr_array:
    """1 where the column's node sends to the row's, float64 [n, n]."""
    # networkx has 1 at [sender, receiver]; and edges of social networks carry a "weight" that must not count.
    adjacency = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=None, dtype=np.float64)
    links = csr_array(adjacency.T)
    links.sort_indices()
    return links


def _holding(links: csr_array, values: Matrix) -> csr_array:
    """A matrix with ``values`` in the places of ``links``, row by row."""
    return csr_array((values, links.indices, links.indptr), shape=links.shape)


def _with_self_weights(links: csr_array) -> csr_array:
    own = 1 - row_sums(links)
    return csr_array(links + coo_array((own, (np.arange(len(own)),) * 2), shape=links.shape))


WEIGHTS: dict[str, Callable[[nx.Graph], csr_array]] = {
    weights.__name__: weights for weights in (metropolis_hastings, uniform, lazy, row_stochastic, push)
}
"""Every named mixing matrix."""
