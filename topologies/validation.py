"""What every topology promises, checked."""

import networkx as nx
import numpy as np

from topologies.errors import TopologyError, require
from topologies.weights import Matrix


def check_graph(graph: nx.Graph) -> None:
    """Check that the nodes are 0..n-1, connected (strongly, if directed) and not linked to themselves.

    Raises:
        TopologyError: the graph breaks one of these; the text names the nodes at fault.
    """
    numbered = len(graph) > 0 and list(graph) == list(range(len(graph)))
    require(numbered, "The nodes of the graph are not 0..n-1 in order.", "Use Topology.from_networkx.")
    loops = sorted(nx.nodes_with_selfloops(graph))
    require(not loops, f"The graph links nodes to themselves: {_some(loops)}.", "Remove these edges.")
    split = nx.strongly_connected_components if graph.is_directed() else nx.connected_components
    parts = sorted((sorted(part) for part in split(graph)), key=lambda part: part[0])
    connected = "strongly connected" if graph.is_directed() else "connected"
    wrong = f"The graph is not {connected}; its {len(parts)} parts are {_some([f'{{{_some(p)}}}' for p in parts])}."
    require(len(parts) == 1, wrong, "Add edges between the parts, or train each part on its own.")


def check_weights(graph: nx.Graph, weights: Matrix) -> None:
    """Check that W is [n, n], finite, >= 0, zero where there is no link, and that its rows sum to 1 within 1e-12.

    Raises:
        TopologyError: W breaks one of these; the text names the entry or row at fault.
    """
    n = len(graph)
    require(weights.shape == (n, n), f"W has shape {weights.shape}, not {(n, n)}.", "Give a square matrix.", "weights")
    # Not the same as weights < 0, for this catches nan too; inf is left to the sum of its row.
    _require_nowhere(~(weights >= 0), weights, "Weights must be numbers and not negative.")
    linked = nx.to_numpy_array(graph, weight=None).T + np.eye(n) > 0
    _require_nowhere((weights != 0) & ~linked, weights, "Only a node itself and those it hears from can have weight.")
    sums = weights.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    wrong = f"Row {worst} of W sums to {sums[worst]!r}, not 1."
    require(abs(sums[worst] - 1) <= 1e-12, wrong, "Divide each row by its sum.", "weights")


def _require_nowhere(wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], weights: Matrix, advice: str) -> None:
    for i, j in np.argwhere(wrong):
        raise TopologyError(f"W[{i}, {j}] is {weights[i, j]!r}.", advice, "weights")


def _some(items: list[int] | list[str], limit: int = 8) -> str:
    return ", ".join([str(item) for item in items[:limit]] + ["..."] * (len(items) > limit))
