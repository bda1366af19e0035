"""Where a drawing puts the nodes."""

from functools import lru_cache
from math import isqrt

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array

from topologies.graphs import torus
from topologies.topology import Topology
from topologies.unions import parts

_SPRINGS = 400  # nodes; the time they take grows with the third power
_ROUGH = 1e-3  # how far eigenvectors may be off: they are for looking at
_ON_A_CIRCLE = {"ring", "chain", "complete", "exponential", "small_world"}


@lru_cache(maxsize=2)  # several drawings of one topology follow each other, and springs take seconds
def positions(topology: Topology) -> NDArray[np.float64]:
    """Coordinates of the nodes, float64 [n, 2], within [-1, 1]: a circle, star or grid where the name suggests one.

    The components of a union stand side by side. What is returned cannot be changed.
    """
    points = _scaled(_raw_positions(topology) if topology.components == 1 else _apart(topology.graph))
    points.flags.writeable = False
    return points


def _scaled(points: NDArray[np.float64]) -> NDArray[np.float64]:
    points = points - (points.max(axis=0) + points.min(axis=0)) / 2
    result: NDArray[np.float64] = points / max(np.abs(points).max(), 1e-9)
    return result


def _raw_positions(topology: Topology) -> NDArray[np.float64]:
    n = topology.num_nodes
    columns = _grid_columns(topology) if topology.graph_name == "torus" else None
    if columns:
        return np.array([(node % columns, -(node // columns)) for node in range(n)], dtype=np.float64)
    if topology.graph_name in _ON_A_CIRCLE:
        return _circle(n)
    if topology.graph_name == "star":
        return np.vstack([np.zeros((1, 2)), _circle(n - 1)])
    return _by_forces(topology.graph)


def _by_forces(graph: nx.Graph) -> NDArray[np.float64]:
    """Springs between all pairs; too many of them are replaced by the slowest vibrations of the links alone."""
    if len(graph) > _SPRINGS:
        return _slowest_vibrations(graph)
    placed = nx.kamada_kawai_layout(graph, weight=None)
    return np.array([placed[node] for node in sorted(graph)], dtype=np.float64)


def _slowest_vibrations(graph: nx.Graph) -> NDArray[np.float64]:
    """The eigenvectors of the two smallest eigenvalues above 0 of the normalised Laplacian, float64 [n, 2]."""
    from scipy.sparse.linalg import eigsh

    links = nx.to_scipy_sparse_array(graph.to_undirected(), nodelist=sorted(graph), weight=None, dtype=np.float64)
    roots = diags_array(1 / np.sqrt(links.sum(axis=1)))
    start = np.random.default_rng(0).standard_normal(len(graph))
    _, vectors = eigsh(roots @ links @ roots, 3, which="LA", v0=start, tol=_ROUGH)
    points: NDArray[np.float64] = roots @ vectors[:, 1::-1]
    return points


def _apart(graph: nx.Graph) -> NDArray[np.float64]:
    """Each component by itself, in the cells of a grid."""
    found = parts(graph)
    columns, points = isqrt(len(found) - 1) + 1, np.empty((len(graph), 2))
    for number, part in enumerate(found):
        cell = number % columns, -(number // columns)
        points[part] = _scaled(_by_forces(graph.subgraph(part))) + np.multiply(2.4, cell)
    return points


def _circle(nodes: int) -> NDArray[np.float64]:
    angles = np.pi / 2 - 2 * np.pi * np.arange(nodes) / max(nodes, 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _grid_columns(topology: Topology) -> int | None:
    # A topology keeps no record of its sides, so look for the sides that give just these links.
    n = topology.num_nodes
    sides = (columns for columns in topology.neighbours(0) if n % columns == 0)  # one of them is below the first node
    return next((c for c in sides if nx.utils.edges_equal(torus(n, columns=c).edges, topology.graph.edges)), None)
