"""The arrays of several sites as one, site after site: what a simulation of them holds in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from simulator.core.samples import Samples
from simulator.data.canaries import Canaries
from simulator.data.common import samples_of
from simulator.data.dataset import ArrayData
from simulator.data.sites.site import Site
from simulator.data.stored import joined, rows_of, size


def joined_training(parts: Sequence[ArrayData]) -> tuple[Samples, list[int]]:
    """The training samples of all ``parts``, and at which row each begins."""
    samples = samples_of(joined([part.x_train for part in parts]), np.concatenate([_targets(part) for part in parts]))
    return samples, _firsts([size(part.x_train) for part in parts])


def joined_tests(parts: Sequence[ArrayData]) -> tuple[Samples, list[int]]:
    """The test samples that ``parts`` have, and at which row each begins."""
    inputs = [rows_of(part.x_train, np.arange(0)) if part.x_test is None else part.x_test for part in parts]
    targets = [_targets(part)[:0] if part.y_test is None else part.y_test for part in parts]
    return samples_of(joined(inputs), np.concatenate(targets)), _firsts(list(map(size, inputs)))


def joined_canaries(sites: Sequence[Site], firsts: Sequence[int]) -> Canaries:
    """Those of all sites, whose training samples begin at the rows ``firsts``."""
    nothing: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    none = Canaries(nothing, nothing, nothing, nothing.astype(np.bool_))
    by_field = {field.name: [getattr(none, field.name)] for field in fields(Canaries)}
    for site, first in zip(sites, firsts, strict=True):
        for name, found in by_field.items():
            values = getattr(site.canaries, name)
            found.append(values + first if name == "index" else values)
    return Canaries(**{name: np.concatenate(found) for name, found in by_field.items()})


def joined_groups(parts: Sequence[ArrayData]) -> NDArray[np.int64] | None:
    """int64 [M], groups of different sites with different numbers; None where no site has any."""
    if all(part.groups is None for part in parts):
        return None
    found, first = [], 0
    for part in parts:
        groups = np.arange(size(part.x_train)) if part.groups is None else part.groups
        found.append(groups + first)
        first += 1 + int(groups.max())
    return np.concatenate(found)


def _targets(part: ArrayData) -> NDArray[np.generic]:
    assert part.y_train is not None  # a site's data are labelled
    return part.y_train


def _firsts(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes)[:-1].tolist()]
