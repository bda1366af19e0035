"""All samples of a data set that was read, and which of them are for testing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.errors import wrong
from simulator.core.seeding import generator
from simulator.data.alike import pairs
from simulator.data.dataset import ArrayData
from simulator.data.groups import grouped_share
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.stored import rows_of, size
from simulator.data.targets import Targets, shortened

FAR = 2.0  # times a share, from which on what is held back is not about that much
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True)
class Gathered:
    """Training and test samples together, as a reader finds them.

    Attributes:
        inputs: with samples first.
        kind: what they are.
        targets: None where they have none.
        is_test: bool [N]; None where nothing says which samples are for testing.
        groups: [N], numbers or text; samples with the same one belong together.
        sites: [N], numbers or text, where each comes from.
        notes: what the user should know.
    """

    inputs: StoredArrays
    kind: InputKind
    targets: Targets | None
    is_test: NDArray[np.bool_] | None = None
    groups: NDArray[Any] | None = None
    sites: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()

    def held_back(self, share: float, seed: int) -> Gathered:
        """The same with about a ``share`` of each site's samples for testing, drawn by whole groups.

        A site with a single group keeps it to train on, which is told.
        """
        rng = generator(seed, "data.test")
        names, home = self._homes()
        is_test = np.zeros(len(home), dtype=np.bool_)
        for site in np.unique(home):
            drawn, _ = grouped_share(self.groups, np.flatnonzero(home == site), share, rng)
            is_test[drawn] = True
        untested = [names[site] for site in np.setdiff1d(home, home[is_test])]
        notes = [f"nothing is held back to test with of what has a single group: {shortened(untested)}"]
        notes = notes if untested else []
        if self.groups is not None and not untested and not share / FAR < is_test.mean() < share * FAR:
            count = f"{is_test.sum():,} of {len(is_test):,} samples are held back to test with"
            notes.append(f"{count}, for a share of {share:g}: groups are not cut, and some are large")
        return replace(self, is_test=is_test, notes=(*self.notes, *notes))

    def divided(self) -> ArrayData:
        """The data set.

        Raises:
            InputError: a group has training samples and test samples.
        """
        is_test = np.zeros(size(self.inputs), dtype=np.bool_) if self.is_test is None else self.is_test
        self._check_groups(is_test)
        train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        groups = None if self.groups is None else _numbered(self.groups)[1]
        names, sites = ((), None) if self.sites is None else _numbered(self.sites)
        targets = self.targets.values if self.targets else None
        return ArrayData(
            x_train=rows_of(self.inputs, train),
            y_train=None if targets is None else targets[train],
            x_test=rows_of(self.inputs, test) if len(test) else None,
            y_test=targets[test] if targets is not None and len(test) else None,
            class_names=self.targets.names if self.targets else (),
            kind=self.kind,
            groups=None if groups is None else groups[train],
            sites=None if sites is None else sites[train],
            test_sites=sites[test] if sites is not None and len(test) else None,
            site_names=names,
            notes=(*self.notes, *(self.targets.notes if self.targets else ()), *self._groups_told()),
        )

    def _homes(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The sites, and the number of each sample's; all of a group are where the group's first sample is."""
        sites = np.full(size(self.inputs), "the data set") if self.sites is None else self.sites
        names, numbers = _numbered(sites)
        if self.groups is None:
            return names, numbers
        _, first, group = np.unique(self.groups, return_index=True, return_inverse=True)
        return names, numbers[first][group]

    def _groups_told(self) -> Iterator[str]:
        """Groups that may be one, whose samples could then stand on both sides of a split."""
        if self.groups is not None and not np.issubdtype(self.groups.dtype, np.number):
            yield from pairs("groups", np.unique(self.groups).tolist())

    def _check_groups(self, is_test: NDArray[np.bool_]) -> None:
        if self.groups is None:
            return
        both = np.intersect1d(self.groups[is_test], self.groups[~is_test])
        if len(both):
            shown = shortened(map(str, both.tolist()), most=5)
            what = f"{len(both):,} groups have samples to train on and to test with: {shown}."
            raise wrong("test", what, "Move each to one side, or give a share (test: 0.2), which keeps groups whole.")


def _numbered(values: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The names of what occurs, in ascending order, and the place of each value among them."""
    found, numbers = np.unique(values, return_inverse=True)
    return tuple(map(str, found.tolist())), numbers.astype(np.int64)
