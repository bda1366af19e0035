"""Whose membership is asked: of each sample, or of each group of samples that belong together, such as a patient's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Questions:
    """Q questions, each about a sample or a group of samples.

    Attributes:
        node: int64 [Q], whose pool it is about: the victim.
        member: bool [Q], whether that node trained on it.
        of_candidate: int64 [N], which question each candidate is asked for; None where there is one for each.
    """

    node: Ints
    member: NDArray[np.bool_]
    of_candidate: Ints | None = None

    @classmethod
    def about(cls, node: Ints, member: NDArray[np.bool_], group: Ints | None) -> Questions:
        """One question for each candidate, or for each ``group`` of a node's candidates, int64 [N] all three."""
        if group is None:
            return cls(node, member)
        found, of_candidate = np.unique(np.stack([node, member, group]), axis=1, return_inverse=True)
        return cls(found[0], found[1].astype(np.bool_), of_candidate.reshape(-1))

    def __len__(self) -> int:
        return len(self.node)

    def scores(self, values: Floats) -> Floats:
        """float64 [Q]: of groups the mean of their candidates' ``values``, float64 [N]; NaN where one is NaN."""
        if self.of_candidate is None:
            return values
        total = np.bincount(self.of_candidate, weights=values, minlength=len(self))
        return np.asarray(total / np.bincount(self.of_candidate, minlength=len(self)), np.float64)

    @property
    def strata(self) -> Ints:
        """The stratum of each, int64 [Q]: the same for questions about the same node and membership."""
        return 2 * self.node + self.member

    @property
    def alone(self) -> Ints:
        """The nodes of whose members, or of whose non-members, a single one is asked about, int64 in order."""
        strata, sizes = np.unique(self.strata, return_counts=True)
        return np.unique(strata[sizes == 1] // 2)
