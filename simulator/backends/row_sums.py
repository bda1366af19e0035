"""Rows of W times a matrix: each sum in order of node id, as a node takes it by itself, and many sums at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

AT_ONCE = 2**20  # bytes of sums that are taken together, so that they stay in a cache
FEW = 4  # blocks that are added faster one by one than as a list
Places = NDArray[np.int64]


class Sums(NamedTuple):
    """Those of rows ``begin`` to ``end`` (exclusive) of W: ``total``, float [end - begin, length], where they stay."""

    begin: int
    end: int
    total: Tensor


class _Term(NamedTuple):
    """The same term of several sums, the first or a later one, in which it has the same weight."""

    is_first: bool
    weight: float
    totals: list[Tensor]
    terms: list[Tensor]

    def add(self) -> None:
        if len(self.totals) <= FEW:
            for total, term in zip(self.totals, self.terms, strict=True):
                if self.is_first:
                    torch.mul(term, self.weight, out=total)
                else:
                    total.add_(term, alpha=self.weight)
        elif self.is_first:
            torch._foreach_copy_(self.totals, self.terms)
            torch._foreach_mul_(self.totals, self.weight)
        else:
            torch._foreach_add_(self.totals, self.terms, alpha=self.weight)


class RowSums:
    """sum_j w_ij t_j for some i, always over the same tensors.

    What adjacent nodes add that is adjacent too, as on a ring or a torus, or the same, as where all are linked, is
    added as one block.

    Args:
        matrix: rows of W, one a sum; sparse, float64 [n, m], with ascending columns in each.
        places: int64 [m], which row of ``terms`` stands for each column.
        wanted: bool [n], which sums are taken; their rows of W have an entry each.
        terms: float [k, length], to be filled in before sums are taken.
        totals: float [n or more, length], memory for them.
    """

    def __init__(
        self, matrix: csr_array, places: Places, wanted: NDArray[np.bool_], terms: Tensor, totals: Tensor
    ) -> None:
        self._matrix, self._places, self._terms, self._totals = matrix, places, terms, totals
        most = max(1, AT_ONCE // (terms.shape[1] * terms.element_size()))
        self._blocks = [
            (begin, end, list(self._added(begin, end))) for begin, end in _blocks(np.flatnonzero(wanted), most)
        ]

    def taken(self) -> Iterator[Sums]:
        """Some of the sums after the other, in order."""
        for begin, end, added in self._blocks:
            for term in added:
                term.add()
            yield Sums(begin, end, self._totals[begin:end])

    def _added(self, begin: int, end: int) -> Iterator[_Term]:
        """What is added up in a block: the first terms of all its sums, then the second ones, and so on."""
        starts, stops = self._matrix.indptr[begin:end], self._matrix.indptr[begin + 1 : end + 1]
        for number in range(int((stops - starts).max())):
            rows = np.flatnonzero(starts + number < stops)
            entries = starts[rows] + number
            sources, weights = self._places[self._matrix.indices[entries]], self._matrix.data[entries]
            for weight in dict.fromkeys(weights.tolist()):
                alike = weights == weight
                runs = list(_runs(rows[alike], sources[alike]))
                totals = [self._totals[begin + row : begin + row + length] for row, _, length, _ in runs]
                terms = [self._term(source, length, same) for _, source, length, same in runs]
                yield _Term(number == 0, weight, totals, terms)

    def _term(self, source: int, length: int, same: bool) -> Tensor:
        """float [length, length of a term]: that of one column for all rows, or of adjacent ones."""
        return self._terms[source].expand(length, -1) if same else self._terms[source : source + length]


def _blocks(rows: Places, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of adjacent rows, ``most`` at once."""
    for first, _, length, _ in _runs(rows, rows):
        yield from ((begin, min(begin + most, first + length)) for begin in range(first, first + length, most))


def _runs(rows: Places, sources: Places) -> Iterator[tuple[int, int, int, bool]]:
    """Where rows go up one by one, and sources too or not at all: first row, first source, length, whether not."""
    if not len(rows):
        return
    up, steps = np.diff(rows), np.diff(sources)
    breaks = (up != 1) | (steps < 0) | (steps > 1)
    breaks[1:] |= steps[1:] != steps[:-1]
    for piece in np.split(np.arange(len(rows)), np.flatnonzero(breaks) + 1):
        first, length = int(piece[0]), len(piece)
        yield int(rows[first]), int(sources[first]), length, bool(length > 1 and steps[first] == 0)
