"""How fast a topology mixes: spectra, gaps, distances, and closed forms to hold them against."""

from collections.abc import Collection
from math import inf, log

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from topologies.errors import require
from topologies.memory import check_room_for_square
from topologies.unions import parts
from topologies.weights import Matrix, is_doubly_stochastic, is_symmetric

Vector = NDArray[np.float64]
_ROUNDING = 1e-12  # a gap below this is none
_WHOLE = 1024  # nodes up to which all eigenvalues are worked out; of larger networks those at the ends alone
_STEPS = 100  # restarts of Lanczos' iteration; where eigenvalues are close to each other it does not end, and
_BESIDE = 1e-10  # W - s is factorised instead, with s so far outside of the spectrum


def eigenvalues(weights: Matrix | csr_array) -> Vector:
    """Eigenvalues of a symmetric W, descending, float64 [n]; the first is 1.

    Raises:
        TopologyError: W is not symmetric, or there is no room for it with all its zeros.
    """
    _require_symmetric(weights)
    return np.linalg.eigvalsh(_with_zeros(weights))[::-1].astype(np.float64, copy=False)


def singular_values(weights: Matrix | csr_array) -> Vector:
    """Singular values of W - 11'/n, descending, float64 [n]; the first is the contraction in a round."""
    whole = _with_zeros(weights)
    return np.linalg.svd(whole - 1 / len(whole), compute_uv=False).astype(np.float64, copy=False)


def spectral_gap(weights: Matrix | csr_array) -> float:
    """How much of the disagreement between nodes a round of mixing removes at least: 1 is all, 0 nothing.

    For a doubly stochastic W this is 1 - sigma with sigma the largest singular value of W - 11'/n; if W is symmetric,
    sigma = max(``|lambda_2|, |lambda_n|``). A W that is only row-stochastic does not contract towards the plain mean,
    so for it the gap is ``1 - |lambda_2|``, the rate at which nodes agree in the long run. The same holds for one that
    is only column-stochastic, where push-sum agrees at that rate. Parts of a network that never hear of each other do
    not agree at all: the gap of a union is 0.

    Args:
        weights: row- or column-stochastic W, float64 [n, n].
    """
    doubly = is_doubly_stochastic(weights)
    if weights.shape[0] > _WHOLE:
        gap = 1 - (_contraction(csr_array(weights)) if doubly else _second(csr_array(weights)))
    elif doubly:
        gap = float(1 - singular_values(weights)[0])
    else:
        gap = float(1 - np.sort(np.abs(np.linalg.eigvals(_with_zeros(weights))))[-2])
    return 0.0 if abs(gap) < _ROUNDING else gap


def lambda_min(weights: Matrix | csr_array) -> float:
    """Smallest eigenvalue of a symmetric W; some methods need it above a bound, such as -1/3 for D2.

    Raises:
        TopologyError: W is not symmetric.
    """
    if weights.shape[0] <= _WHOLE:
        return float(eigenvalues(weights)[-1])
    from scipy.sparse.linalg import ArpackNoConvergence, eigsh

    _require_symmetric(weights)
    outside = 2 * weights.diagonal().min() - weights.sum(axis=1).max() - _BESIDE  # by Gershgorin's circles
    try:
        found = eigsh(weights, 1, which="SA", v0=_start(weights), maxiter=_STEPS, return_eigenvectors=False)
    except ArpackNoConvergence:
        found = eigsh(weights, 1, sigma=outside, v0=_start(weights), return_eigenvectors=False)
    return float(found[0])


def _require_symmetric(weights: Matrix | csr_array) -> None:
    advice = "Use singular_values, or symmetric weights."
    require(is_symmetric(weights), "W is not symmetric, so its eigenvalues need not be real.", advice, "weights")


def _with_zeros(weights: Matrix | csr_array) -> Matrix:
    if isinstance(weights, np.ndarray):
        return weights
    check_room_for_square(weights.shape[0])
    return np.asarray(weights.toarray())


def _start(weights: csr_array) -> Vector:
    start: Vector = np.random.default_rng(0).standard_normal(weights.shape[0])
    return start


def _contraction(weights: csr_array) -> float:
    """The largest singular value of W - 11'/n, of a doubly stochastic W: the root of an eigenvalue of W'W - 11'/n."""
    apart = weights.T @ weights  # W'11'/n = 11'/n = 11'W/n
    largest = _largest(csr_array(apart))
    return float(np.sqrt(max(largest, 0.0)))


def _largest(weights: csr_array) -> float:
    """The second largest eigenvalue of a symmetric, doubly stochastic matrix whose eigenvalues are 0 or more."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    nodes = weights.shape[0]

    def without_mean(vector: Vector) -> Vector:
        found: Vector = weights @ vector - vector.mean()
        return found

    operator = LinearOperator((nodes, nodes), matvec=without_mean, dtype=np.float64)
    try:
        found = eigsh(operator, 1, which="LA", v0=_start(weights), maxiter=_STEPS, return_eigenvectors=False)
    except ArpackNoConvergence:
        found = np.sort(eigsh(weights, 2, sigma=1 + _BESIDE, v0=_start(weights), return_eigenvectors=False))
    return float(found[0])


def _second(weights: csr_array) -> float:
    """The second largest absolute value of the eigenvalues of W."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    try:
        found = eigs(weights, 2, which="LM", v0=_start(weights), maxiter=_STEPS, return_eigenvectors=False)
    except ArpackNoConvergence:
        found = eigs(weights, 2, sigma=1 + _BESIDE, v0=_start(weights), return_eigenvectors=False)
    return float(np.sort(np.abs(found))[0])


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
    from scipy.sparse.csgraph import shortest_path  # slow to load, and most runs do without

    hops = shortest_path(nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=None), unweighted=True)
    result: NDArray[np.float64] = hops.T
    return result


def distances_from(graph: nx.Graph, sources: Collection[int]) -> Vector:
    """How many rounds news from the nearest of ``sources`` needs to reach each node, float64 [n]; inf if it cannot."""
    if not sources:
        return np.full(len(graph), inf)
    from scipy.sparse.csgraph import dijkstra

    links = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=None)
    found: Vector = dijkstra(links, indices=sorted(sources), unweighted=True, min_only=True)
    return found


def diameter(graph: nx.Graph) -> int:
    """Largest number of hops between two nodes; of a union, the largest within a component."""
    hops = distances(graph)
    return int(hops[np.isfinite(hops)].max())


def diameter_within(graph: nx.Graph) -> tuple[int, int]:
    """The smallest and the largest that `diameter` can be: both are the diameter itself of up to `_WHOLE` nodes.

    Of more, it is at least the most hops from the node that is farthest from the first one of a component, and at most
    the most hops to and from that node together.
    """
    if len(graph) <= _WHOLE:
        return (diameter(graph),) * 2
    back, within = graph.reverse(copy=False) if graph.is_directed() else graph, list[tuple[int, int]]()
    for part in parts(graph):
        far = _farthest(distances_from(graph, [part[0]]))[0]
        there, here = (_farthest(distances_from(each, [far]))[1] for each in (graph, back))
        within.append((max(there, here), there + here))
    least, most = zip(*within, strict=True)
    return max(least), max(most)


def diameter_in_words(graph: nx.Graph) -> str:
    """The diameter as far as `diameter_within` knows it, to read."""
    least, most = diameter_within(graph)
    return str(least) if least == most else f"{least} to {most}"


def _farthest(hops: Vector) -> tuple[int, int]:
    """The node that is reached last of those that are reached, and after how many hops."""
    reached = np.where(np.isfinite(hops), hops, -1)
    return int(reached.argmax()), int(reached.max())


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
