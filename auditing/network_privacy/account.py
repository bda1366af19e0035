"""Epsilon on a network under the noise that a run declares."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy import muffliato
from auditing.network_privacy.declared_noise import DeclaredNoise
from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import Round, rounds_of
from auditing.network_privacy.network_dp import by_distance, pairwise
from simulator.privacy.gaussian_dp import epsilons_of
from topologies import Network, Topology, distances

Floats = NDArray[np.float64]
Summary = list[dict[str, float]]


@dataclass(frozen=True)
class Account:
    """How epsilon is worked out.

    Attributes:
        declared: the noise.
        change: by how many clipping norms the updates of neighbouring runs may differ.
        delta: of (epsilon, delta).
        block: see `pairwise`.
    """

    declared: DeclaredNoise
    change: float
    delta: float
    block: int

    def between_nodes(self, network: Network | Topology) -> Floats:
        """Epsilon of each node against each, float64 [victim, observer]; NaN against itself."""
        return epsilons_of(
            pairwise(self._rounds(network), self.declared.noise, None, self._sensitivity, self.block), self.delta
        )

    def all_messages(self, network: Network) -> float:
        """Of the least protected node against any one other that sees all messages, however updates depend on them.

        Whatever nodes remember, their messages follow from what they hear and from signals with their noise, and this
        is what all of these by themselves would tell.
        """
        anyone = [Adversary.everywhere(node) for node in range(network.base.num_nodes)]
        seen = pairwise(
            rounds_of(network, len(self.declared.maps)), self.declared.noise, anyone, self._sensitivity, block=1
        )
        return float(np.nanmax(epsilons_of(seen, self.delta)))

    def published(self, network: Network) -> Floats | None:
        """Epsilon by the published formula, as `between_nodes`; None where it does not apply."""
        maps = self.declared.maps
        alike = np.ptp(self.declared.noise.independent) == 0 and maps[0].is_plain and len(set(maps)) == 1
        if network.varies or self.declared.noise.correlated or not alike:
            return None
        shares = muffliato.every_round(network.base.weights, len(maps))
        mu = self._sensitivity / np.max(self.declared.noise.independent)
        return epsilons_of(np.where(np.eye(len(shares), dtype=np.bool_), np.nan, mu**2 * shares), self.delta)

    @property
    def _sensitivity(self) -> float:
        return self.change * sqrt(self.declared.steps)

    def _rounds(self, network: Network | Topology) -> list[Round]:
        return rounds_of(network, len(self.declared.maps), maps=self.declared.maps)


def summary(epsilon: Floats, topology: Topology) -> Summary:
    """Mean and largest epsilon at each distance from the victim to the observer."""
    found = by_distance(epsilon, distances(topology.graph).T).items()
    return [{"distance": d, "pairs": len(e), "mean": float(e.mean()), "largest": float(e.max())} for d, e in found]
