"""Whose updates an observer can compute exactly, from topology, schedule and failures alone.

An update is what a node adds, by local training and its methods, to the model that it has mixed. All messages are
linear in the updates, so one of them can be computed from what an observer hears if it is in the row space of these
messages. Give each update noise of its own with variance 1: then the exact accountant of
`auditing.network_privacy.linear_gossip` finds, for the update of node v in round t, the diagonal entry M_v[t, t] of the
projector onto that row space. It is 1 if the update is solvable; below, it is the share of its variance (R^2) that the
best linear estimate explains, where all updates are independent and of the same size (published for gossip averaging
and D-GD by Mrini et al. 2024, arXiv:2402.10001, by elimination).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import Round
from simulator.core.cores import cores

Floats = NDArray[np.float64]
SOLVED = 1e-9  # of 1 - R^2; of averaged values that are not solved it was never below .09


@dataclass(frozen=True)
class Solvability:
    """What each observer can compute of each update.

    Attributes:
        explained: R^2, float64 [observers, nodes, updates]; NaN for an observer's own nodes, and where a node that is
            away makes none.
    """

    explained: Floats

    @property
    def solved(self) -> NDArray[np.bool_]:
        """Which updates can be computed exactly, bool [observers, nodes, updates]."""
        return 1 - np.nan_to_num(self.explained) < SOLVED

    @property
    def made(self) -> NDArray[np.bool_]:
        """Which updates there are for an observer to ask about, bool [observers, nodes, updates]."""
        return ~np.isnan(self.explained)


def solvability(rounds: Sequence[Round], observers: Sequence[Adversary]) -> Solvability:
    """What ``observers`` can compute after ``rounds``; see `explained_to`.

    Raises:
        InputError: after so many steps without a new update float64 cannot decide what is solvable.
    """
    return Solvability(np.stack(list(explained_to(rounds, observers))))


def explained_to(rounds: Sequence[Round], observers: Sequence[Adversary]) -> Iterator[Floats]:
    """`explained` of each of ``observers`` in turn, as many at once as there are cores; errors as `solvability`."""
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:  # a thread a core, and no more in each
        yield from pool.map(partial(explained, rounds), observers)


def explained(rounds: Sequence[Round], observer: Adversary) -> Floats:
    """R^2 of all updates for ``observer``, float64 [nodes, updates]; NaN as in `Solvability`; O(T^2 n^3) operations."""
    found = exposure(rounds, Noise(1.0), observer)
    seen = np.diagonal(found.blocks, axis1=1, axis2=2)
    return np.divide(seen, found.local, out=np.full_like(seen, np.nan), where=found.local > 0)
