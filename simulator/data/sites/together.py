"""The arrays of several sites as one, site after site: what a simulation of them holds in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.core.samples import Samples
from simulator.data.canaries import Canaries, together
from simulator.data.common import samples_of
from simulator.data.dataset import ArrayData
from simulator.data.sites.site import Site
from simulator.data.stored import joined, size


@dataclass(frozen=True)
class Together:
    """The samples of several sites over one set of arrays: training samples of all, then tests that they brought.

    Attributes:
        samples: all of them.
        firsts: int, at which row each site's training samples begin.
        test_firsts: likewise its test samples.
    """

    samples: Samples
    firsts: Sequence[int]
    test_firsts: Sequence[int]

    @classmethod
    def of(cls, parts: Sequence[ArrayData]) -> Together:
        """Those of ``parts``, of which there is at least one."""
        tests = [part for part in parts if part.x_test is not None]
        inputs = [*(part.x_train for part in parts), *(part.x_test for part in tests if part.x_test is not None)]
        targets = [*(part.y_train for part in parts), *(part.y_test for part in tests)]
        samples = samples_of(joined(inputs), np.concatenate([each for each in targets if each is not None]))
        sizes = [size(part.x_train) for part in parts]
        brought = [0 if part.x_test is None else size(part.x_test) for part in parts]
        firsts = np.cumsum([0, *sizes, *brought])[:-1].tolist()
        return cls(samples, firsts[: len(parts)], firsts[len(parts) :])


def joined_canaries(sites: Sequence[Site], firsts: Sequence[int]) -> Canaries:
    """Those of all sites, whose training samples begin at the rows ``firsts``."""
    nothing: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    none = Canaries(nothing, nothing, nothing, nothing.astype(np.bool_))
    placed = (
        replace(site.canaries, index=site.canaries.index + first) for site, first in zip(sites, firsts, strict=True)
    )
    return together([none, *placed])


def joined_groups(parts: Sequence[ArrayData]) -> NDArray[np.int64] | None:
    """int64 [M], the group of each row of `Together`; None where no site has any.

    Groups of different sites have different numbers, and each test sample that a site brought is a group of its own.
    """
    if all(part.groups is None for part in parts):
        return None
    found, first = [], 0
    for part in parts:
        groups = np.arange(size(part.x_train)) if part.groups is None else part.groups
        found.append(groups + first)
        first += 1 + int(groups.max())
    tests = sum(size(part.x_test) for part in parts if part.x_test is not None)
    return np.concatenate([*found, first + np.arange(tests)])
