"""Arrays of samples as data sets have them, in NumPy: one, or several by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.arrays import Arrays
from simulator.data.kinds.kind import StoredArrays


def named(arrays: StoredArrays) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each array with its name, which is empty where there is one."""
    yield from [("", arrays)] if isinstance(arrays, np.ndarray) else arrays.items()


def changed(arrays: StoredArrays, change: Callable[[NDArray[Any]], NDArray[Any]]) -> StoredArrays:
    """What ``change`` makes of each array, under the same names."""
    return change(arrays) if isinstance(arrays, np.ndarray) else {name: change(each) for name, each in arrays.items()}


def size(arrays: StoredArrays) -> int:
    """How many samples they hold."""
    return len(next(named(arrays))[1])


def shapes(arrays: StoredArrays) -> dict[str, tuple[int, ...]]:
    """The shape of one sample, array by array."""
    return {name: array.shape[1:] for name, array in named(arrays)}


def rows_of(arrays: StoredArrays, rows: NDArray[np.int64]) -> StoredArrays:
    """The samples ``rows``."""
    return changed(arrays, lambda array: array[rows])


def joined(parts: Sequence[StoredArrays]) -> StoredArrays:
    """The samples of one after those of the other."""
    names = [name for name, _ in named(parts[0])]
    together = {name: np.concatenate([dict(named(part))[name] for part in parts]) for name in names}
    return together[""] if names == [""] else together


def same(one: StoredArrays, other: StoredArrays) -> bool:
    """Whether they hold the same under the same names, where gaps (NaN) are the same as gaps."""
    mine, theirs = dict(named(one)), dict(named(other))
    return mine.keys() == theirs.keys() and all(_equal(array, theirs[name]) for name, array in mine.items())


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def to_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over the array's memory; a copy only where torch cannot use it (read-only or not contiguous)."""
    return torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


def to_tensors(arrays: StoredArrays) -> Arrays:
    """`to_tensor` of each."""
    if isinstance(arrays, np.ndarray):
        return to_tensor(arrays)
    return {name: to_tensor(array) for name, array in arrays.items()}


def to_numpy(arrays: Arrays) -> StoredArrays:
    """Arrays over the memory of tensors on the CPU."""
    return arrays.numpy() if isinstance(arrays, Tensor) else {name: array.numpy() for name, array in arrays.items()}
