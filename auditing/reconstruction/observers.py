"""Observers of a network: who keeps the messages that it sees, and from how far each node is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Adversary
from topologies import Topology, distances


def nodes_of(topology: Topology) -> list[Adversary]:
    """Each node for itself."""
    return [Adversary.node(node) for node in range(topology.num_nodes)]


def pairs_of(topology: Topology) -> list[Adversary]:
    """Every two nodes that tell each other all they know, linked or not."""
    return [Adversary.coalition(pair) for pair in combinations(range(topology.num_nodes), 2)]


def edges_of(topology: Topology) -> list[Adversary]:
    """An eavesdropper on each link, who is none of the nodes."""
    links = {tuple(sorted(link)) for link in topology.graph.edges if link[0] != link[1]}
    return [Adversary.edge(*link) for link in sorted(links)]


def everywhere(topology: Topology) -> list[Adversary]:
    """One who sees all messages, and is none of the nodes."""
    return [Adversary.everywhere()]


OBSERVERS: Mapping[str, Callable[[Topology], list[Adversary]]] = {
    "nodes": nodes_of,
    "pairs": pairs_of,
    "edges": edges_of,
    "all": everywhere,
}


def hops(topology: Topology, observers: list[Adversary]) -> NDArray[np.float64]:
    """How many links each node's messages take to each observer, float64 [observers, nodes]; NaN inside it.

    To one who is none of the nodes, from a node that it hears, it is 1.
    """
    to = distances(topology.graph).T
    found = np.full((len(observers), topology.num_nodes), np.nan)
    for place, observer in enumerate(observers):
        if observer.inside:
            found[place] = to[:, sorted(observer.inside)].min(1)
        else:
            heard = sorted(observer.hears(topology.links))
            found[place] = 1 + to[:, heard].min(1)
        found[place, sorted(observer.inside)] = np.nan
    return found
