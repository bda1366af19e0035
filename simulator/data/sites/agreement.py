"""How all nodes come to the same statistics before round 1: sums go up a tree of the network's links, and down again.

The tree is the breadth-first one from node 0 over the links of the base graph. Each node tells its parent the sums of
all nodes below it and its own, and the root's go down to everybody: 2 (n - 1) messages, and every node ends with the
same bytes. Averages by gossip would not: they differ between nodes in their last digits, however long it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import networkx as nx

from simulator.data.sites.settings import SitesSettings
from simulator.data.sites.statistics import Statistics
from simulator.data.sites.sums import Sums, joined, told
from topologies import Topology

ROOT = 0


@dataclass(frozen=True)
class Tree:
    """Who tells whom.

    Attributes:
        order: all nodes, each after its parent.
        parent: of every node but the root.
    """

    order: Sequence[int]
    parent: Mapping[int, int]

    @classmethod
    def of(cls, topology: Topology) -> Self:
        """That of a network whose links go both ways, and that hangs together."""
        edges = list(nx.bfs_edges(topology.graph, ROOT, sort_neighbors=sorted))
        return cls([ROOT, *(child for _, child in edges)], {child: parent for parent, child in edges})

    @cached_property
    def children(self) -> Mapping[int, Sequence[int]]:
        """Of every node, ascending: in this order their sums are added to its own."""
        found: dict[int, list[int]] = {node: [] for node in self.order}
        for child in sorted(self.parent):
            found[self.parent[child]].append(child)
        return found

    def below(self, node: int) -> list[int]:
        """All whose sums go through ``node``, ascending."""
        found: list[int] = []
        waiting = list(self.children[node])
        while waiting:
            found.append(waiting.pop())
            waiting += self.children[found[-1]]
        return sorted(found)


def total(tree: Tree, told: Mapping[int, Sums]) -> Sums:
    """What the root has, where each node tells these sums of its own."""
    found: dict[int, Sums] = {}
    for node in reversed(tree.order):
        found[node] = joined(told[node], [found.pop(child) for child in tree.children[node]])
    return found[ROOT]


def agreed(sites: SitesSettings, own: Mapping[int, Sums], topology: Topology, seed: int) -> Statistics:
    """What the nodes of a simulation agree on, each of which has these sums of its ``own``."""
    settings, tree = sites.statistics, Tree.of(topology)
    assert settings is not None  # whoever asks has seen that they agree
    sums = total(tree, {node: told(each, settings, seed, node) for node, each in own.items()})
    return Statistics.of(sums, sites.data_schema, settings, len(tree.order))
