"""What theory promises for a topology of which some nodes are Byzantine: omniscient, and free in what they send."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Self

import networkx as nx
import numpy as np
from scipy.sparse import csr_array, diags_array

from topologies.adversaries import EQUAL, distances_to_nearest, honest_graph, laplacian
from topologies.errors import require
from topologies.spectral import spectral_gap
from topologies.topology import Topology


@dataclass(frozen=True, eq=False)
class Breakdown:
    """A topology, its attackers and the bounds on how many of them rules can bear.

    The bounds compare b, the largest number of Byzantine neighbours of an honest node, with mu_2, the algebraic
    connectivity of the links between honest nodes, all of weight 1: no rule works on all graphs with b >= mu_2 / 2, and
    CS+ is proved to work for b < mu_2 / 4 (Gaucher, Dieuleveut and Hendrikx 2025, "Unified Breakdown Analysis for
    Byzantine Robust Gossip", https://arxiv.org/abs/2410.10418). They are of undirected graphs.

    Attributes:
        topology: of all nodes.
        attackers: their numbers, ascending.
        honest: links between honest nodes.
    """

    topology: Topology
    attackers: tuple[int, ...]
    honest: nx.Graph

    @classmethod
    def of(cls, topology: Topology, attackers: Collection[int]) -> Self:
        """That of ``attackers``.

        Raises:
            CutApart: the honest nodes are not connected.
            TopologyError: W is for push-sum, in which a row is no average, or as `honest_graph`.
        """
        wrong = "Robust rules are about averages, and push weights are none."
        require(not topology.push, wrong, "Choose other weights.", "weights")
        return cls(topology, tuple(sorted(set(attackers))), honest_graph(topology, attackers))

    @property
    def byzantine_weights(self) -> dict[int, float]:
        """delta_i: the weight of attackers in the row of each honest node, ascending."""
        rows = self.topology.matrix[list(self.honest)][:, list(self.attackers)]
        return dict(zip(self.honest, rows.sum(axis=1).tolist(), strict=True))

    @property
    def byzantine_neighbours(self) -> dict[int, int]:
        """How many attackers each honest node hears, ascending."""
        return {node: len({*self.topology.in_neighbours(node)} & {*self.attackers}) for node in self.honest}

    @property
    def distances(self) -> dict[int, int]:
        """How far from the nearest attacker each honest node is, ascending; see `distances_to_nearest`."""
        return distances_to_nearest(self.topology, self.attackers)

    @property
    def honest_weights(self) -> csr_array:
        """W~, float64 [honest, honest]: W between honest nodes, with the weight of attackers moved to the diagonal."""
        nodes = list(self.honest)
        return self.topology.matrix[nodes][:, nodes] + diags_array(list(self.byzantine_weights.values()))

    @property
    def honest_gap(self) -> float:
        """The spectral gap of W~: how fast honest nodes would agree among themselves."""
        return spectral_gap(self.honest_weights)

    @cached_property
    def connectivities(self) -> tuple[float, float]:
        """mu_2 and mu_max: the second smallest and the largest eigenvalue of the honest nodes' Laplacian.

        Raises:
            TopologyError: the graph is directed.
        """
        undirected = not self.topology.graph.is_directed()
        require(undirected, "The bounds are of links that go both ways.", "Choose an undirected graph.")
        eigenvalues = np.linalg.eigvalsh(laplacian(self.honest))
        return float(eigenvalues[1]), float(eigenvalues[-1])

    @property
    def most(self) -> int:
        """b: the largest number of attackers that an honest node hears."""
        return max(self.byzantine_neighbours.values())

    @property
    def proved(self) -> bool:
        """Whether b < mu_2 / 4, so that CS+ is proved to work."""
        return self.most <= self.borne

    @property
    def ruled_out(self) -> bool:
        """Whether b >= mu_2 / 2, from where on no rule works on all graphs."""
        return self.most >= self.connectivities[0] / 2 - EQUAL

    @property
    def borne(self) -> int:
        """The largest b that CS+ is proved to bear among these honest nodes: 0 means not one attacker anywhere."""
        return max(0, ceil(self.connectivities[0] / 4 - EQUAL) - 1)
