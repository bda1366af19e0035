"""Rows of a table: numbers, some of which may be missing, and categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.arrays import Arrays
from simulator.core.errors import wrong
from simulator.core.preparation import Preparation
from simulator.core.specification import InputSpec
from simulator.data.kinds.kind import InputKind, StoredArrays

NUMBERS, CODES = "numbers", "codes"
Categories = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Table(InputKind):
    """Two arrays: "numbers", float32 [N, F] with NaN for what is missing, and "codes", whole numbers [N, K].

    A column with C categories has the codes 0 to C - 1, C for any other category, and C + 1 where it is missing. That
    belongs to the experiment, like the names and the order of columns, so that inputs mean the same at every site.

    Attributes:
        numbers: the names of the columns of numbers, in their order.
        may_miss: those of them in which numbers may be missing.
        categories: the names of the columns of categories, each with its categories, in the order of their codes.
    """

    numbers: tuple[str, ...]
    may_miss: tuple[str, ...] = ()
    categories: Categories = ()

    @property
    def features(self) -> tuple[str, ...]:
        """What each column of a network's input is called."""
        return (
            *self.numbers,
            *(f"{name} is missing" for name in self._indicated),
            *(f"{column}={each}" for column, known in self.categories for each in (*known, "other", "missing")),
        )

    def check(self, name: str, inputs: StoredArrays) -> None:
        """Types, widths, missing numbers only where they may be, and no unknown codes."""
        if isinstance(inputs, np.ndarray) or set(inputs) != {NUMBERS, CODES}:
            raise wrong("", f"{name} is no table.", f"A table is the two arrays '{NUMBERS}' and '{CODES}'.")
        numbers, codes = inputs[NUMBERS], inputs[CODES]
        for part, array, width, types in (
            (NUMBERS, numbers, len(self.numbers), ("float32",)),
            (CODES, codes, len(self.categories), ("int16", "int32", "int64")),
        ):
            if array.dtype.name not in types or array.shape[1:] != (width,):
                what = f"{name}['{part}'] is {array.dtype} of shape {array.shape}."
                raise wrong("", what, f"Give {' or '.join(types)} of shape [samples, {width}].")
        if not (self.numbers or self.categories):
            raise wrong("", f"{name} has no columns.", "Leave at least one beside the target.")
        problems = [*self._bad_numbers(numbers), *self._bad_codes(codes)]
        if problems:
            advice = "Correct what is infinite; impute or drop what is missing: missing: impute, or missing: drop_rows."
            raise wrong("", f"{name} holds {'; '.join(problems)}.", advice)

    def _bad_numbers(self, numbers: NDArray[np.float32]) -> Iterator[str]:
        for column, values in zip(self.numbers, numbers.T, strict=True):
            if count := int(np.isinf(values).sum()):
                yield f"{count:,} infinite values in '{column}'"
            if column not in self.may_miss and (count := int(np.isnan(values).sum())):
                yield f"{count:,} NaN in '{column}', where nothing may be missing"

    def _bad_codes(self, codes: NDArray[Any]) -> Iterator[str]:
        for (column, known), values in zip(self.categories, codes.T, strict=True):
            if len(values) and (values.min() < 0 or values.max() > len(known) + 1):
                yield f"codes from {values.min()} to {values.max()} in '{column}', which has {len(known)} categories"

    def preparation(self, inputs: StoredArrays, rows: NDArray[np.int64]) -> Preparation:
        """Standardised with the mean and the standard deviation of ``rows``, in which missing numbers do not count."""
        assert isinstance(inputs, Mapping)  # it was checked
        return self.standardised([_moments(column[rows]) for column in inputs[NUMBERS].T])

    def standardised(self, moments: Sequence[tuple[float, float]]) -> TablePreparation:
        """By the mean and the standard deviation of each column of numbers, in their order."""
        sizes = [len(known) + 2 for _, known in self.categories]
        return TablePreparation(
            mean=torch.tensor([mean for mean, _ in moments], dtype=torch.float32),
            std=torch.tensor([std for _, std in moments], dtype=torch.float32),
            indicated=torch.tensor([self.numbers.index(name) for name in self._indicated], dtype=torch.int64),
            first=torch.tensor(np.cumsum([0, *sizes])[:-1], dtype=torch.int64),
            width=sum(sizes),
        )

    def specification(self, inputs: StoredArrays) -> InputSpec:
        """The columns that a network is given."""
        return InputSpec("table", (len(self.features),), columns=self.features)

    @property
    def _indicated(self) -> list[str]:
        return [name for name in self.numbers if name in self.may_miss]


@dataclass(frozen=True, eq=False)
class TablePreparation(Preparation):
    """One float row a sample: scaled numbers (0, the mean, where missing), what is missing, categories one-hot.

    Attributes:
        mean: float [F], of the numbers.
        std: float [F], likewise.
        indicated: int64 [I], the columns of numbers that get a column of 0 and 1 for being missing.
        first: int64 [K], the place of each column's first category among all categories.
        width: number of all categories.
    """

    mean: Tensor
    std: Tensor
    indicated: Tensor
    first: Tensor
    width: int

    def __call__(self, stored: Arrays, dtype: torch.dtype = torch.float32) -> Tensor:
        """``dtype`` [B, F + I + width]."""
        assert isinstance(stored, Mapping)
        numbers = stored[NUMBERS]
        missing = numbers.isnan()
        scaled = ((numbers - self.mean) / self.std).masked_fill(missing, 0.0).to(dtype)
        places = stored[CODES].long() + self.first
        chosen = torch.zeros((*places.shape[:-1], self.width), dtype=dtype, device=places.device)
        return torch.cat([scaled, missing[..., self.indicated].to(dtype), chosen.scatter_(-1, places, 1.0)], dim=-1)


def _moments(column: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and standard deviation, in float64 and about the mean; a column with one value at most becomes zeros."""
    values = column[~np.isnan(column)].astype(np.float64)
    if not len(values) or values.min() == values.max():
        return (float(values[0]) if len(values) else 0.0), 1.0
    mean = values.mean()
    return float(mean), float(np.sqrt(((values - mean) ** 2).mean()))
