"""Byzantine nodes in a topology: where they stand, and what of the graph they leave to the honest ones."""

from collections.abc import Callable, Collection, Mapping, Sequence

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from topologies.errors import TopologyError, require
from topologies.lookup import find
from topologies.seeding import generator
from topologies.spectral import Vector, distances_from
from topologies.topology import Topology
from topologies.unions import parts
from topologies.validation import some

FIELD = "adversaries"  # the setting at fault
TRIES = 200  # random orders of the nodes, for one in which enough of them are not linked
EQUAL = 1e-9  # eigenvalues of a Laplacian that differ by less than this part of the largest are one


class CutApart(TopologyError):
    """The honest nodes are not connected: attackers decide what one part hears of another."""


Place = Callable[[Topology, Sequence[int], int, np.random.Generator], Sequence[int]]


def choose(
    topology: Topology, count: int, place: str = "random", seed: int = 0, beside: Collection[int] = ()
) -> tuple[int, ...]:
    """Choose attackers; the same arguments give the same nodes.

    Args:
        topology: where they stand.
        count: how many.
        place: a name in `PLACES`.
        seed: at least 0; decides between nodes that `place` makes no difference between.
        beside: nodes that are attackers already, and are not chosen.

    Returns:
        Their numbers, ascending.

    Raises:
        TopologyError: there is no such place, `count` is below 1 or leaves fewer than two honest nodes, or so many
            nodes `apart` were not found.
    """
    function = find(place, PLACES, "place")
    require(count >= 1, f"{count} attackers cannot be chosen.", "Choose 1 or more.", FIELD)
    free = [node for node in range(topology.num_nodes) if node not in beside]
    _require_honest(topology, len(free) - count)
    return tuple(sorted(function(topology, free, count, generator(seed, FIELD, 0))))


def random(topology: Topology, free: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Any nodes, all sets of them equally likely."""
    return _shuffled(free, rng)[:count]


def apart(topology: Topology, free: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Random nodes of which no two are linked, nor one with an attacker that is there already.

    Nodes are taken in random orders; where that finds too few, in orders that take what leaves most others. To know for
    certain how many there can be takes exponential time.
    """
    near = {node: set(topology.neighbours(node)) for node in range(topology.num_nodes)}
    unlinked = {node for node in free if near[node] <= set(free)}
    found: list[int] = []
    for sparing in (False, True):
        for _ in range(TRIES):
            found = max(found, _unlinked(near, unlinked, count, sparing, rng), key=len)
            if len(found) == count:
                return found
    what = f"{count} attackers of which no two are linked were not found in the {topology.graph_name} graph"
    raise TopologyError(f"{what}, but {len(found)}.", "Take fewer, or another place, such as random.", FIELD)


def degree(topology: Topology, free: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Those whom most nodes hear."""
    return _highest(topology.degrees.tolist(), free, count, rng)


def betweenness(topology: Topology, free: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Those that lie on most shortest paths between others (Freeman 1977)."""
    of = nx.betweenness_centrality(topology.graph)
    return _highest([round(of[node], 12) for node in range(topology.num_nodes)], free, count, rng)


PLACES: dict[str, Place] = {place.__name__: place for place in (random, apart, degree, betweenness)}
"""Every way to choose attackers; of nodes that are alike in it, the seed decides."""


def honest_graph(topology: Topology, attackers: Collection[int]) -> nx.Graph:
    """The links between honest nodes.

    Args:
        topology: of all.
        attackers: the numbers of the Byzantine ones; none is allowed.

    Returns:
        The subgraph of the honest nodes, which keep their numbers, ascending.

    Raises:
        TopologyError: there is no such node, or fewer than two are honest.
        CutApart: the honest ones are not (strongly) connected, so that no rule can make them agree.
    """
    nodes = topology.num_nodes
    if unknown := sorted(node for node in attackers if not 0 <= node < nodes):
        raise TopologyError(f"There is no node {unknown[0]}.", f"Count from 0 to {nodes - 1}.", FIELD)
    _require_honest(topology, nodes - len({*attackers}))
    honest = topology.graph.subgraph(sorted(set(range(nodes)) - set(attackers)))
    if len(found := parts(honest)) > 1:
        raise CutApart(_pieces(topology, attackers, found), "Choose other attackers, or another graph.", FIELD)
    return honest


def laplacian(graph: nx.Graph) -> NDArray[np.float64]:
    """Degrees minus links of unit weight, float64 [n, n], nodes ascending; a directed link counts as one both ways."""
    links = nx.to_numpy_array(graph.to_undirected(), nodelist=sorted(graph), weight=None)
    result: NDArray[np.float64] = np.diag(links.sum(axis=1)) - links
    return result


def fiedler_vector(graph: nx.Graph) -> dict[int, float]:
    """The unit eigenvector of the second smallest eigenvalue of a connected graph's `laplacian`, by node.

    Where the eigenvalue is a multiple one, as in a ring, each unit vector of its eigenspace is as good: this is the
    direction of the space that is closest to a single node, the first such node if several are, and so does not depend
    on how eigenvectors are computed. Its sign makes it positive at that node.

    Raises:
        TopologyError: the graph has only one node.
    """
    nodes = sorted(graph)
    require(len(nodes) > 1, "A single node has no Fiedler vector.", "Give a graph of two nodes or more.")
    values, vectors = np.linalg.eigh(laplacian(graph))
    basis: Vector = vectors[:, 1:][:, values[1:] <= values[1] + EQUAL * values[-1]]
    near = (basis**2).sum(axis=1)  # the squared length of each node's projection
    first = int(np.argmax(near >= near.max() - EQUAL))
    vector = basis @ basis[first] / np.sqrt(near[first])
    return dict(zip(nodes, vector.tolist(), strict=True))


def distances_to_nearest(topology: Topology, attackers: Collection[int]) -> dict[int, int]:
    """By honest node, ascending, in how many rounds the news of the nearest attacker gets there.

    Without attackers, and where there is none in a component of a union, nothing is said.
    """
    hops = distances_from(topology.graph, attackers)
    return {node: int(hop) for node, hop in enumerate(hops) if node not in attackers and np.isfinite(hop)}


def _shuffled(nodes: Sequence[int], rng: np.random.Generator) -> list[int]:
    found: list[int] = rng.permutation(np.asarray(nodes, dtype=np.int64)).tolist()
    return found


def _highest(values: Sequence[float], free: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    return sorted(_shuffled(free, rng), key=lambda node: -values[node])[:count]


def _unlinked(
    near: Mapping[int, set[int]], free: set[int], count: int, sparing: bool, rng: np.random.Generator
) -> list[int]:
    """Up to ``count`` of the ``free`` nodes, none ``near`` another; a ``sparing`` choice leaves most of them free."""
    found, order = list[int](), _shuffled(sorted(free), rng)
    while order and len(found) < count:
        found.append(min(order, key=lambda node: len(free & near[node])) if sparing else order[0])
        free = free - {found[-1]} - near[found[-1]]
        order = [node for node in order if node in free]
    return found


def _require_honest(topology: Topology, honest: int) -> None:
    wrong = f"Of {topology.num_nodes} nodes, {max(honest, 0)} would be honest."
    require(honest >= 2, wrong, "Leave two or more that are.", FIELD)


def _pieces(topology: Topology, attackers: Collection[int], found: list[list[int]]) -> str:
    pieces = some([f"{{{some(part)}}}" for part in found])
    cutting = sorted(set(nx.articulation_points(topology.graph.to_undirected())) & set(attackers))
    who = f"node {cutting[0]}, a cut vertex, decides" if cutting else "attackers decide"
    return f"The honest nodes fall apart into {pieces}: {who} what one part hears of another."
