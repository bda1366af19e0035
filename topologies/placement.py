"""Placement: which nodes to keep together, so that few links lead from one group to another."""

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
from networkx.algorithms.community import kernighan_lin_bisection
from numpy.typing import NDArray
from scipy.sparse import csr_array

from topologies.errors import require
from topologies.topology import Topology

DENSE = 64  # links a node; above, every division cuts nearly as many, and improving one takes long
PAIRS = 4  # of blocks looked at, a block
SWEEPS = 3  # over the two blocks of a pair; more gain little

Blocks = list[tuple[int, ...]]


def blocks(topology: Topology, parts: int) -> Blocks:
    """Divide the nodes into blocks whose sizes differ by at most one, cutting few links.

    Pieces of the better of two orders, the nodes' own and the reversed one of Cuthill and McKee, are improved by
    exchanging nodes between two blocks at a time (Kernighan and Lin) and never made worse.

    Args:
        topology: its links count once in each direction.
        parts: how many blocks, none of them empty.

    Returns:
        The nodes of each block, ascending.

    Raises:
        TopologyError: `parts` is not between 1 and the number of nodes.
    """
    nodes = topology.num_nodes
    advice = f"Ask for 1 to {nodes} blocks."
    require(1 <= parts <= nodes, f"{nodes} nodes cannot be divided into {parts} blocks.", advice, "parts")
    contiguous = _pieces(np.arange(nodes), parts)
    if topology.degrees.sum() > DENSE * nodes:
        return contiguous
    from scipy.sparse.csgraph import reverse_cuthill_mckee  # slow to load, and most runs do without

    links = _links(topology)
    pieces = contiguous, _pieces(reverse_cuthill_mckee(links), parts)
    return _exchanged(links, min(pieces, key=lambda found: _cut(links, found)))


def links_cut(topology: Topology, blocks: Sequence[Sequence[int]]) -> int:
    """How many directed links lead from one block to another; ``blocks`` hold every node once."""
    return _cut(_links(topology), blocks)


def _pieces(order: NDArray[np.integer[Any]], parts: int) -> Blocks:
    return [tuple(sorted(piece.tolist())) for piece in np.array_split(order, parts)]


def _links(topology: Topology) -> csr_array:
    """int64 [nodes, nodes], 1 where the row's node sends to the column's."""
    return nx.to_scipy_sparse_array(topology.graph, range(topology.num_nodes), dtype=np.int64, weight=None)


def _cut(links: csr_array, blocks: Sequence[Sequence[int]]) -> int:
    between = _between(links, blocks)
    return int(between.sum() - np.trace(between))


def _between(links: csr_array, blocks: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """int64 [blocks, blocks]: links from one to another, and within one on the diagonal."""
    block_of = np.empty(links.shape[0], dtype=np.int64)
    for number, block in enumerate(blocks):
        block_of[list(block)] = number
    senders, receivers = links.nonzero()
    between = np.zeros((len(blocks), len(blocks)), dtype=np.int64)
    np.add.at(between, (block_of[senders], block_of[receivers]), 1)
    return between


def _exchanged(links: csr_array, blocks: Blocks) -> Blocks:
    """The blocks after exchanges between those pairs that most links lead between."""
    between, result, graph = _between(links, blocks), list(blocks), nx.from_scipy_sparse_array(links + links.T)
    weights = np.triu(between + between.T, k=1)
    heaviest = np.argsort(-weights, axis=None, kind="stable")[: PAIRS * len(blocks)]
    for one, other in zip(*np.unravel_index(heaviest, weights.shape), strict=True):
        if weights[one, other]:
            pair = set(result[one]), set(result[other])
            found = kernighan_lin_bisection(graph.subgraph(pair[0] | pair[1]), pair, max_iter=SWEEPS)
            result[one], result[other] = (tuple(sorted(half)) for half in found)
    return min(blocks, result, key=lambda found: _cut(links, found))
