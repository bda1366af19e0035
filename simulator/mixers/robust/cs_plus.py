"""Clipped sum, CS+, of robust gossip (Gaucher, Dieuleveut and Hendrikx 2025, arXiv:2410.10418)."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.mixers.robust.distances import ROUNDING, clipped, within
from simulator.mixers.robust.shares import ShareMixer, ShareSettings


class CSPlus(ShareMixer):
    """Gossip in which the farthest neighbours, twice the weight that may lie, pull no more than those that are left.

    With y_i the parameters after local training, W the mixing matrix and clip(z, t) = z min(1, t / ||z||)::

        x_i <- y_i + sum_j w_ij clip(y_j - y_i, tau_i)

    Neighbours are taken from the farthest on until they weigh 2b or more together; tau_i is the largest distance of
    those that remain, 0 if only the node itself does. Here b is ``byzantine``, or the sum of the so many largest
    weights of a neighbour. At 0 nothing is clipped, and this is gossip, adapt then combine, to the bit. The nodes' mean
    is not kept, since each has a radius of its own.

    The paper writes gossip as I - eta L with a step eta; here W is the network's, and eta is 1.
    """

    class Config(ShareSettings):
        """How many neighbours may lie, or which weight they may hold."""

        name: str = "cs_plus"

    config: Config

    @classmethod
    def silenced(cls, byzantine: float) -> float:
        """Twice the weight that may lie is clipped."""
        return 2 * byzantine

    def guarded(
        self, own: int, row: Mapping[int, float], away: Mapping[int, float], byzantine: float
    ) -> Mapping[int, float]:
        """w_ij min(1, tau_i / ||y_j - y_i||) of neighbours, and the rest of the node itself."""
        room = sum(row[j] for j in sorted(row)) - self.silenced(byzantine) + ROUNDING
        tau = max((away[j] for total, j in within(row, own, away) if j != own and total <= room), default=0.0)
        return clipped(row, own, away, dict.fromkeys(away, tau))
