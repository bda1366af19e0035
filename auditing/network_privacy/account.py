"""Epsilon on a network under the noise that a run declares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy import muffliato
from auditing.network_privacy.declared_noise import DeclaredNoise
from auditing.network_privacy.linear_gossip import Adversary
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.network_privacy.link_noise import LinkNoise
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
        sums: whether nodes hear the weighted sum of what they are sent, and no single message.
    """

    declared: DeclaredNoise
    change: float
    delta: float
    block: int
    sums: bool = False

    def between_nodes(self, network: Network | Topology) -> Floats:
        """Epsilon of each node against each, float64 [victim, observer]; NaN against itself."""
        rounds = rounds_of(network, len(self.declared.maps), maps=self.declared.maps)
        each = [replace(Adversary.node(node), sums=self.sums) for node in range(rounds[0].links.num_nodes)]
        return epsilons_of(pairwise(rounds, self.declared.noise, each, self._sensitivity, self.block), self.delta)

    def all_messages(self, network: Network) -> float:
        """Of the least protected node against any one other that sees all messages, however updates depend on them.

        Whatever nodes remember, their messages follow from what they hear and from signals with their noise, and this
        is what all of these by themselves would tell. Masks, which hide single messages, are not counted on. Not so
        under noise by receiver, which does not stay in the models: then it is of updates that are given.
        """
        anyone = [Adversary.everywhere(node) for node in range(network.base.num_nodes)]
        seen = pairwise(
            rounds_of(network, len(self.declared.maps)), self.declared.noise, anyone, self._sensitivity, block=1
        )
        return float(np.nanmax(epsilons_of(seen, self.delta)))

    def published(self, network: Network) -> Floats | None:
        """Epsilon by the published formula of single messages, as `between_nodes`; None where it does not apply."""
        maps, noise = self.declared.maps, self.declared.noise
        if isinstance(noise, LinkNoise) or network.varies or noise.correlated or self.sums:
            return None
        if np.ptp(noise.independent) > 0 or not maps[0].is_plain or len(set(maps)) > 1:
            return None
        shares = muffliato.every_round(network.base.weights, len(maps))
        mu = self._sensitivity / np.max(noise.independent)
        return epsilons_of(np.where(np.eye(len(shares), dtype=np.bool_), np.nan, mu**2 * shares), self.delta)

    @property
    def _sensitivity(self) -> float:
        return self.change * sqrt(self.declared.steps)


def summary(epsilon: Floats, topology: Topology) -> Summary:
    """Mean and largest epsilon at each distance from the victim to the observer."""
    found = by_distance(epsilon, distances(topology.graph).T).items()
    return [{"distance": d, "pairs": len(e), "mean": float(e.mean()), "largest": float(e.max())} for d, e in found]
