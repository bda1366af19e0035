"""What contributions of norm 1 at most, one vector in each of T rounds, give away together.

With M = M_u of `auditing.network_privacy.linear_gossip` and contributions g_1..g_T, mu^2 = sum_st M[s, t] <g_s, g_t>;
the largest over all g is wanted. A node that contributes in one round alone, t, has exactly mu^2 = M[t, t].
"""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_gossip import Exposure

Floats = NDArray[np.float64]
SWEEPS = 20
TINY = np.finfo(np.float64).tiny


def every_round(seen: Exposure) -> Floats:
    """The largest mu^2 of each node, float64 [n]: an upper bound, in practice a thousandth above it or less."""
    bound: Floats = np.minimum(simple(seen), certified(seen.blocks))
    return bound


def worst_signs(blocks: Floats) -> Floats:
    """Signs of one vector that is contributed in every round, +1 or -1, float64 [n, T], by which it gives most away.

    Neighbours see most of one that comes and goes, distant nodes of one that stays. Turning one sign leads no higher
    from here; found from the largest eigenvector, so no proof that nothing is higher. The first sign is +.
    """
    _, vectors = np.linalg.eigh(blocks)
    signs = np.where(vectors[:, :, -1] < 0, -1.0, 1.0)
    for node, block in enumerate(blocks):
        own = signs[node]
        while (gains := own * (block @ own) - block.diagonal()).min() < -TINY:
            own[np.argmin(gains)] *= -1
    found: Floats = signs * signs[:, :1]
    return found


def simple(seen: Exposure) -> Floats:
    """An upper bound on each mu^2, float64 [n], the smallest of

    * sum_st abs(M[s, t]): attained where no entry is negative, by the same vector in every round;
    * T lambda_max(M): attained where an eigenvector of the largest eigenvalue has entries of one size, as for M = c I;
    * sum_t local[t]: attained by an observer of all messages.
    """  # noqa: D415
    rounds = (seen.local > 0).sum(1)
    spectral = rounds * np.linalg.eigvalsh(seen.blocks)[:, -1]
    bound: Floats = np.minimum.reduce([np.abs(seen.blocks).sum((1, 2)), spectral, seen.local.sum(1)])
    return bound


def certified(blocks: Floats) -> Floats:
    """An upper bound on each mu^2, float64 [n], from the dual of the semidefinite program that the largest one is.

    For any d with diag(d) >= M, mu^2 <= sum_t d_t |g_t|^2; if only diag(d) + c I >= M, then mu^2 <= sum_t d_t + T c.
    So the bound holds whatever d is. It is taken from contributions that are nearly the worst, found by turning one
    after the other to where it gives most (Wang, Chang & Kolter 2018, arXiv:1706.00476): d_t = |sum_s M[s, t] g_s|.
    """
    rounds = blocks.shape[1]
    worst = _worst(blocks)
    d = np.linalg.norm(blocks @ worst, axis=2)
    excess = np.linalg.eigvalsh(blocks - d[:, :, None] * np.eye(rounds))[:, -1]
    bound: Floats = d.sum(1) + rounds * np.maximum(excess, 0)
    return bound


def _worst(blocks: Floats) -> Floats:
    """Contributions of norm 1, float64 [n, T, k]; from k > sqrt(2 T) on, what is best nearby is best of all."""
    rounds = blocks.shape[1]
    values, vectors = np.linalg.eigh(blocks)
    top = slice(-min(rounds, isqrt(2 * rounds) + 2), None)
    found = vectors[:, :, top] * np.sqrt(values[:, None, top].clip(min=0))
    found = _normed(found, np.eye(found.shape[2])[0])
    for _ in range(SWEEPS):
        for t in range(rounds):
            others = (blocks[:, t, None] @ found)[:, 0] - blocks[:, t, t, None] * found[:, t]
            found[:, t] = _normed(others, found[:, t])
    return found


def _normed(vectors: Floats, instead: Floats) -> Floats:
    """``vectors`` [..., k] with norm 1, and ``instead`` where they are 0."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(norms > TINY, vectors / norms.clip(min=TINY), instead)
