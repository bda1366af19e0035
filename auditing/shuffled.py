"""Whom an audit asks about: a node's members or its non-members, in random order by whole groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.node import Node
from simulator.core.seeding import generator


@dataclass(frozen=True)
class Shuffled:
    """A node's members, or its non-members, in random order by whole groups.

    Attributes:
        index: int64 [n], rows of the training arrays.
        group: int64 [n], a number from 0 on for what is taken together.
        order: int64 [groups], these numbers, shuffled.
    """

    index: torch.Tensor
    group: NDArray[np.int64]
    order: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        index: torch.Tensor,
        groups: NDArray[np.int64] | None,
        member: bool,
        node: Node,
        of_group: int | None = None,
    ) -> Shuffled:
        """``index`` shuffled by the run's seed; see `Candidates.of`."""
        alone = np.arange(len(index))
        group = alone if groups is None else np.unique(groups[index.numpy()], return_inverse=True)[1]
        rng = generator(node.seed, f"audit.candidates.{member}", node=node.id)
        order = rng.permutation(len(np.bincount(group)))
        kept = alone if of_group is None else thinned(group, of_group, rng)
        return cls(index[torch.from_numpy(kept)], group[kept], order)

    def within(self, limit: int) -> int:
        """How many groups are at most ``limit`` samples together; one, if there is any, though it be larger."""
        sizes = np.bincount(self.group)[self.order]
        return min(len(sizes), max(1, int((np.cumsum(sizes) <= limit).sum())))

    def first(self, groups: int) -> torch.Tensor:
        """The rows of the first ``groups``, int64, in their own order."""
        return self.index[torch.from_numpy(np.flatnonzero(np.isin(self.group, self.order[:groups])))]


def thinned(group: NDArray[np.int64], most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """At most so many rows of each ``group`` (int64 [n]), drawn at random; int64, in their own order."""
    drawn = rng.permutation(len(group))
    by_group = drawn[np.argsort(group[drawn], kind="stable")]
    sorted_group = group[by_group]
    rank = np.arange(len(group)) - np.searchsorted(sorted_group, sorted_group)
    return np.sort(by_group[rank < most])
