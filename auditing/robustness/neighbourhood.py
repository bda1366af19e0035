"""Whom a node can ask, who may attack it, and which ensembles there are to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import networkx as nx
import numpy as np

from auditing.robustness.ensemble import AttackedModel
from auditing.robustness.selection import Members, at_random, best_clean, least_transferable
from auditing.robustness.transfer import Transfers
from simulator.core.errors import Problem
from topologies import Topology

CHOSEN = "least transferable"


@dataclass(frozen=True)
class Neighbourhood:
    """The surroundings of a node that asks several for their answer.

    Attributes:
        host: the node.
        candidates: the honest nodes within some hops of it, itself included: whom it can ask.
        insiders: its neighbours.
        outsiders: all others, the farthest first.
        unquantized: the honest nodes without quantizer, the nearest first.
    """

    host: int
    candidates: Sequence[int]
    insiders: Sequence[int]
    outsiders: Sequence[int]
    unquantized: Sequence[int]

    @classmethod
    def of(
        cls,
        host: int,
        topology: Topology,
        hops: int,
        models: Sequence[AttackedModel],
        lying: Set[int] = frozenset(),
    ) -> Neighbourhood:
        """The neighbourhood of ``host``; a node that cannot be reached is farther than any other.

        Nodes that are ``lying`` may be insiders or outsiders, and are in no ensemble.
        """
        distance = nx.single_source_shortest_path_length(topology.graph, host)
        nearest = sorted(range(len(models)), key=lambda node: (distance.get(node, len(models)), node))
        return cls(
            host,
            sorted(node for node in nearest if distance.get(node, len(models)) <= hops and node not in lying),
            [node for node in nearest if distance.get(node) == 1],
            [node for node in reversed(nearest) if distance.get(node, len(models)) > hops],
            [node for node in nearest if not models[node].is_quantized and node not in lying],
        )

    def lacking(self, size: int) -> Iterator[Problem]:
        """What is missing for ensembles of ``size`` and their attackers: candidates, somebody outside, a neighbour."""
        if len(self.candidates) < size:
            what = f"node {self.host} can ask {len(self.candidates)} nodes, and {size} are wanted."
            yield Problem("size", what, "Ask for fewer, or set hops higher.")
        if not self.outsiders or not self.insiders:
            what = f"every node is a candidate of node {self.host}, or it has no neighbour: nobody is left to attack."
            yield Problem("hops", what, "Set hops lower, or use a larger network.")

    @property
    def surrogate(self) -> int:
        """The farthest node outside without a quantizer, as an attacker would train one; or else the farthest."""
        plain = [node for node in self.outsiders if node in self.unquantized]
        return (plain or self.outsiders)[0]

    def ensembles(
        self, size: int, measured: Transfers, eps: float, slack: float, draws: int, rng: np.random.Generator
    ) -> Mapping[str, Sequence[Members]]:
        """Ensembles of ``size`` members by the rule that chose them; of some rules several, to be averaged over."""
        metric = measured.metric(eps)
        plain = [node for node in self.unquantized if node != self.surrogate][:size]
        found: dict[str, Sequence[Members]] = {
            CHOSEN: [least_transferable(self.candidates, size, metric, measured.clean, slack)],
            "random": list(at_random(self.candidates, size, draws, rng)),
            "best clean": [best_clean(self.candidates, size, measured.clean)],
        }
        return found | ({"unquantized": [tuple(sorted(plain))]} if len(plain) == size else {})
