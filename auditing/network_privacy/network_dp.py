"""Network differential privacy, node by node: what each observer can tell of each node's contributions.

The unit is a node's contribution of bounded norm to what it adds to its model in a round: two runs are neighbours if
in every round the updates of one node, and of no other, differ by at most the sensitivity (the clipping norm if a node
takes part or not, twice that if its data are replaced). Noise is counted in the same unit. See
`auditing.network_privacy.linear_gossip` for the protocol and for what is taken as given.

For DP-SGD within the rounds, a sample that is in each of the batches moves the update by at most the clipping norm, so
the numbers hold for single samples too, as if each took part in every step. They know nothing of amplification by
subsampling, and are not the per-sample epsilon of a node's own accountant, which for small batches is far lower; that
one holds against every observer, whatever it sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from auditing.network_privacy.contributions import every_round
from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import Round, rounds_of
from auditing.network_privacy.link_noise import LinkNoise, link_exposure
from simulator.core.cores import cores
from simulator.privacy.gaussian_dp import epsilons_of
from topologies import Network, Topology

Floats = NDArray[np.float64]


def network_epsilon(
    network: Network | Topology,
    rounds: int,
    noise_multiplier: float,
    delta: float,
    *,
    correlated_multiplier: float = 0.0,
    sensitivity: float = 1.0,
    gossip_steps: int = 1,
    observers: Sequence[Adversary] | None = None,
    block: int | None = None,
) -> Floats:
    """Epsilon of the data of each node against each observer, float64 [nodes, observers].

    Args:
        network: the links of every round.
        rounds: in how many every node that is not away contributes.
        noise_multiplier: standard deviation of a node's own noise in a round, over the clipping norm.
        delta: of (epsilon, delta).
        correlated_multiplier: the same of the noise that each two neighbours cancel.
        sensitivity: of an update, over the clipping norm: 1 for adding or removing a node, 2 for replacing its data.
        gossip_steps: how often nodes mix in a round.
        observers: each node for itself, by default.
        block: see `pairwise`.

    Raises:
        InputError: the noise multiplier is 0, or the gossip steps are too many for float64.
    """
    noise = Noise(noise_multiplier, correlated_multiplier)
    return epsilons_of(pairwise(rounds_of(network, rounds, gossip_steps), noise, observers, sensitivity, block), delta)


def pairwise(
    rounds: Sequence[Round],
    noise: Noise | LinkNoise,
    observers: Sequence[Adversary] | None = None,
    sensitivity: float = 1.0,
    block: int | None = None,
) -> Floats:
    """mu^2 of the data of each node against each observer, float64 [nodes, observers]; NaN for nodes inside it.

    What an observer learns is exact; the worst contributions over all rounds are bounded by `every_round` from above,
    within a thousandth on rings, tori and random regular graphs.

    With ``block``, an upper bound in O(T block n^3), or O(block^2 n^3) where the links are always the same: every
    ``block`` rounds the observer is told the models of all nodes. To be told more is never to learn less (data
    processing), so what it learns bounds what it learns untold; and as all models are then known, what came before
    says nothing about what comes after, so M_u falls into blocks, whose bounds add up. Noise by receiver is always
    accounted whole.
    """
    seen = [Adversary.node(node) for node in range(rounds[0].links.num_nodes)] if observers is None else observers

    def learns(observer: Adversary) -> Floats:
        mu2 = _contributions(rounds, noise, observer, block)
        mu2[sorted(observer.inside)] = np.nan
        return mu2

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:  # a thread a core, and no more in each
        return sensitivity**2 * np.stack(list(pool.map(learns, seen)), axis=1)


def _contributions(rounds: Sequence[Round], noise: Noise | LinkNoise, observer: Adversary, block: int | None) -> Floats:
    """What the observer learns in `every_round`, float64 [n], block by block; equal blocks are worked out once."""
    if isinstance(noise, LinkNoise):
        return every_round(link_exposure(rounds, noise, observer))
    known: dict[tuple[tuple[Round, ...], bool], Floats] = {}
    total = np.zeros(rounds[0].links.num_nodes)
    length = block or len(rounds)
    for start in range(0, len(rounds), length):
        part, told = tuple(rounds[start : start + length]), start + length < len(rounds)
        if (part, told) not in known:
            known[part, told] = every_round(exposure(part, noise, observer, revealed=told))
        total += known[part, told]
    return total


def by_distance(values: Floats, distances: Floats) -> dict[int, Floats]:
    """The entries [victim, observer] at each finite distance from victim to observer, from 1 on."""
    farthest = distances[np.isfinite(distances)].max()
    return {hops: values[distances == hops] for hops in range(1, int(farthest) + 1)}
