"""Geometric trimmed sum, GTS, of robust gossip (Gaucher, Dieuleveut and Hendrikx 2025, arXiv:2410.10418)."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.mixers.robust.distances import rest_to_own, within
from simulator.mixers.robust.shares import ShareMixer, ShareSettings


class GTS(ShareMixer):
    """Gossip without the farthest neighbours, as many as weigh what may lie; the node itself takes their place.

    With y_i the parameters after local training and W the mixing matrix, the nearest to y_i keep the weight 1 - b
    together, that of the node itself included, and the neighbour at the boundary keeps what is left of it::

        x_i <- y_i + sum_j v_ij (y_j - y_i),   0 <= v_ij <= w_ij,   w_ii + sum_j v_ij = 1 - b

    Here b is ``byzantine``, or the sum of the so many largest weights of a neighbour. At 0 this is gossip, adapt then
    combine, to the bit. The nodes' mean is not kept. It is nearest neighbour averaging, but that what is dropped goes
    to the node's own model: of n_i models with the same weight, NNA without f is (n_i GTS - f y_i) / (n_i - f). The
    code that the paper comes with trims otherwise at the boundary; this is the definition.
    """

    class Config(ShareSettings):
        """How many neighbours may lie, or which weight they may hold."""

        name: str = "gts"

    config: Config

    @classmethod
    def silenced(cls, byzantine: float) -> float:
        """The weight that may lie is dropped."""
        return byzantine

    def guarded(
        self, own: int, row: Mapping[int, float], away: Mapping[int, float], byzantine: float
    ) -> Mapping[int, float]:
        """What is left of the row's weights, the farthest losing theirs first."""
        room = sum(row[j] for j in sorted(row)) - byzantine
        order = within(row, own, away)[1:]
        return rest_to_own(row, own, {j: min(row[j], max(0.0, room - (total - row[j]))) for total, j in order})
