"""How fast a topology mixes: spectra, gaps, distances, and closed forms to hold them against."""

from math import inf, log

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from topologies.errors import require
from topologies.weights import Matrix, is_doubly_stochastic, is_symmetric

Vector = NDArray[np.float64]
_ROUNDING = 1e-12  # a gap below this is none


def eigenvalues(weights: Matrix) -> Vector:
    """Eigenvalues of a symmetric W, descending, float64 [n]; the first is 1.

    Raises:
        TopologyError: W is not symmetric.
    """
    advice = "Use singular_values, or symmetric weights."
    require(is_symmetric(weights), "W is not symmetric, so its eigenvalues need not be real.", advice, "weights")
    return np.linalg.eigvalsh(weights)[::-1].astype(np.float64, copy=False)


def singular_values(weights: Matrix) -> Vector:
    """Singular values of W - 11'/n, descending, float64 [n]; the first is the contraction in a round."""
    return np.linalg.svd(weights - 1 / len(weights), compute_uv=False).astype(np.float64, copy=False)


def spectral_gap(weights: Matrix) -> float:
    """How much of the disagreement between nodes a round of mixing removes at least: 1 is all, 0 nothing.

    For a doubly stochastic W this is 1 - sigma with sigma the largest singular value of W - 11'/n; if W is symmetric,
    sigma = max(|lambda_2|, |lambda_n|). A W that is only row-stochastic does not contract towards the plain mean,
    so for it the gap is 1 - |lambda_2|, the rate at which nodes agree in the long run. The same holds for one that is
    only column-stochastic, where push-sum agrees at that rate. Parts of a network that never hear of each other do not
    agree at all: the gap of a union is 0.

    Args:
        weights: row- or column-stochastic W, float64 [n, n].
    """
    if is_doubly_stochastic(weights):
        gap = float(1 - singular_values(weights)[0])
    else:
        gap = float(1 - np.sort(np.abs(np.linalg.eigvals(weights)))[-2])
    return 0.0 if abs(gap) < _ROUNDING else gap


def lambda_min(weights: Matrix) -> float:
    """Smallest eigenvalue of a symmetric W; some methods need it above a bound, such as -1/3 for D2.

    Raises:
        TopologyError: W is not symmetric.
    """
    return float(eigenvalues(weights)[-1])


def expected_rounds_to_halve(gap: float) -> float:
    """Rounds of mixing until the consensus distance has halved: ln(1/2) / ln(1 - gap).

    Args:
        gap: spectral gap; with 1 the answer is 0, with 0 or less it is infinite.
    """
    if gap <= 0:
        return inf
    return 0.0 if gap >= 1 else log(1 / 2) / log(1 - gap)


def distances(graph: nx.Graph) -> NDArray[np.float64]:
    """Hops, float64 [n, n]: entry [i, j] is how many rounds news from node j needs to reach node i; inf if it cannot.

    Only in a union (see `topologies.unions`) is there anything that news cannot reach.
    """
    hops = shortest_path(nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=None), unweighted=True)
    result: NDArray[np.float64] = hops.T
    return result


def diameter(graph: nx.Graph) -> int:
    """Largest number of hops between two nodes; of a union, the largest within a component."""
    hops = distances(graph)
    return int(hops[np.isfinite(hops)].max())


def ring_eigenvalues(nodes: int) -> Vector:
    """Spectrum of a ring with `metropolis_hastings` or `uniform` weights, descending, float64 [n].

    lambda_k = (1 + 2 cos(2 pi k / n)) / 3 for n >= 3; a ring of two nodes is one edge, with eigenvalues 1 and 0.
    """
    return torus_eigenvalues(1, nodes)


def torus_eigenvalues(rows: int, columns: int) -> Vector:
    """Spectrum of a torus with `metropolis_hastings` or `uniform` weights, descending, float64 [rows * columns].

    lambda_ab = (1 + 2 cos(2 pi a / rows) + 2 cos(2 pi b / columns)) / 5 for sides of at least 3. A side of 2 adds a
    single neighbour, so cos instead of 2 cos, and a side of 1 adds none.
    """
    sums = np.add.outer(_cycle_eigenvalues(rows), _cycle_eigenvalues(columns)).ravel()
    return np.sort((1 + sums) / (1 + sums[0]))[::-1]


def exponential_gap(nodes: int) -> float:
    """Spectral gap of the static exponential graph with weights 1 / (d + 1), where d = ceil(log2(nodes)).

    1 - max_j |1 + sum_k exp(2 pi i j 2^k / n)| / (d + 1) over j = 1..n-1, for W is circulant; for an even number of
    nodes this is 2 / (d + 1) (Ying et al. 2021, "Exponential Graph is Provably Efficient for Decentralized Deep
    Training").
    """
    degree = (nodes - 1).bit_length()
    phases = np.outer(np.arange(1, nodes), 2 ** np.arange(degree)) / nodes
    sums = np.abs(1 + np.exp(2j * np.pi * phases).sum(axis=1))
    return float(1 - sums.max(initial=0) / (degree + 1))


def _cycle_eigenvalues(nodes: int) -> Vector:
    neighbours = min(nodes - 1, 2)
    result: Vector = neighbours * np.cos(2 * np.pi * np.arange(nodes) / nodes)
    return result
