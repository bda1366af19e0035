"""What every topology promises, checked."""

import networkx as nx
import numpy as np
from scipy.sparse import csr_array, eye_array

from topologies.errors import TopologyError, require
from topologies.labels import labels
from topologies.unions import components, parts
from topologies.weights import entries


def check_graph(graph: nx.Graph) -> None:
    """Check that the nodes are 0..n-1, connected (see `check_connected`) and not linked to themselves.

    Raises:
        TopologyError: the graph breaks one of these; the text names the nodes at fault.
    """
    numbered = len(graph) > 0 and list(graph) == list(range(len(graph)))
    require(numbered, "The nodes of the graph are not 0..n-1 in order.", "Use Topology.from_networkx.")
    loops = sorted(nx.nodes_with_selfloops(graph))
    require(not loops, f"The graph links nodes to themselves: {some(loops)}.", "Remove these edges.")
    check_connected(graph)


def check_connected(graph: nx.Graph, what: str = "The graph", field: str = "graph") -> None:
    """Check that the nodes are connected, and strongly so if the graph is directed; or each component of a union.

    Args:
        graph: the graph to check.
        what: how the error calls it.
        field: the setting at fault.

    Raises:
        TopologyError: the graph falls into parts, or a union into others than it declares; the text names them.
    """
    found, wanted = parts(graph), components(graph)
    connected = "strongly connected" if graph.is_directed() else "connected"
    expected = f"not {connected}" if wanted == 1 else f"no union of {wanted} {connected} graphs"
    called = labels(graph)
    named = [some([called[node] for node in part]) for part in found]
    wrong = f"{what} is {expected}; its {len(found)} parts are {some([f'{{{part}}}' for part in named])}."
    advice = "Add edges between the parts, or train each part on its own." if wanted == 1 else "Change its links."
    require(len(found) == wanted, wrong, advice, field)


def check_weights(graph: nx.Graph, weights: csr_array, push: bool = False) -> None:
    """Check that W is stochastic, as `check_matrix` has it, and zero where there is no link.

    Raises:
        TopologyError: W breaks one of these; the text names the entry, row or column at fault.
    """
    check_matrix(weights, len(graph), push)
    advice = "Only a node itself and those it hears from can have weight."
    _require_nowhere(weights - weights * hearable(graph), advice)


def check_matrix(weights: csr_array, nodes: int, push: bool = False) -> None:
    """Check that W is [nodes, nodes], finite, >= 0, and that its rows sum to 1 within 1e-12.

    Args:
        weights: the matrix W.
        nodes: number of nodes.
        push: whether W is for push-sum: then its columns must sum to 1, and its rows need not.

    Raises:
        TopologyError: W breaks one of these; the text names the entry, row or column at fault.
    """
    shape = (nodes, nodes)
    require(weights.shape == shape, f"W has shape {weights.shape}, not {shape}.", "Give a square matrix.", "weights")
    # Not the same as weights < 0, for this catches nan too; inf is left to the sums.
    if not (weights.data >= 0).all():
        wrong = csr_array((np.where(weights.data >= 0, 0, weights.data), weights.indices, weights.indptr), shape=shape)
        _require_nowhere(wrong, "Weights must be numbers and not negative.")
    axis, line = (0, "column") if push else (1, "row")
    sums = np.bincount(entries(weights)[1 - axis], weights.data, nodes)
    worst = int(np.abs(sums - 1).argmax())
    what = f"{line.capitalize()} {worst} of W sums to {sums[worst]!r}, not 1."
    require(abs(sums[worst] - 1) <= 1e-12, what, f"Divide each {line} by its sum.", "weights")


def hearable(graph: nx.Graph) -> csr_array:
    """Where W may have weight, bool [n, n], sparse: on the diagonal and at [i, j] where j sends to i."""
    links = nx.to_scipy_sparse_array(graph, nodelist=range(len(graph)), weight=None)
    return csr_array(links.T + eye_array(len(graph)), dtype=np.bool_)


def some(items: list[int] | list[str], limit: int = 8) -> str:
    """The first ones of ``items``, for an error."""
    return ", ".join([str(item) for item in items[:limit]] + ["..."] * (len(items) > limit))


def _require_nowhere(wrong: csr_array, advice: str) -> None:
    for i, j in zip(*wrong.nonzero(), strict=True):
        raise TopologyError(f"W[{i}, {j}] is {wrong[i, j]!r}.", advice, "weights")
