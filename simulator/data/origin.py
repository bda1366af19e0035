"""Where samples come from: the groups that belong together, and the sites that brought them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.data.dataset import ArrayData


@dataclass(frozen=True)
class Pool:
    """The samples that are divided among the nodes, as a partition sees them.

    Attributes:
        labels: int64 [N], all 0 where samples have no classes.
        groups: int64 [N], or None where every sample is its own.
        sites: int64 [N], counted in ``site_names``; None where it is not known.
        site_names: one name a site.
    """

    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    sites: NDArray[np.int64] | None = None
    site_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: ArrayData, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> Pool:
        """The samples ``rows`` of a data set's training samples, with their ``labels``."""
        groups, sites = (None if each is None else each[rows] for each in (data.groups, data.sites))
        return cls(labels, groups, sites, data.site_names)
