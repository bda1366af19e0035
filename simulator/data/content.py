"""Whether two runs are about the same data: the arrays count, not what they are called or where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.data import stored
from simulator.data.dataset import ArrayData
from simulator.data.kinds.kind import StoredArrays
from simulator.data.label_noise import true_labels

CONTENT = "content"  # in ``partition.npz``


@dataclass(frozen=True)
class Content:
    """What tells a private data set from any other.

    Attributes:
        digest: uint8 [16], BLAKE2b of all of its arrays.
        labels: int64 [N], the true ones of the training images.
    """

    digest: NDArray[np.uint8]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, data: ArrayData) -> Content:
        """That of a labelled data set."""
        named = {name: getattr(data, name) for name in ("x_train", "y_train", "x_test", "y_test")}
        whole = digest((*named.items(), *sorted(data.other_labels.items())))
        return cls(np.frombuffer(whole, dtype=np.uint8), true_labels(data))

    @classmethod
    def together(cls, parts: Mapping[str, Content]) -> Content:
        """That of data which lie at several sites, by their names."""
        whole = digest((name, part.digest) for name, part in parts.items())
        labels = [part.labels for part in parts.values()]
        return cls(np.frombuffer(whole, dtype=np.uint8), np.concatenate([np.empty(0, dtype=np.int64), *labels]))

    def is_that_of(self, partition: Mapping[str, NDArray[Any]]) -> bool:
        """Whether the run of this ``partition.npz`` was about these arrays.

        One written before digests were has the labels of its training samples; they tell most data sets apart.
        """
        if CONTENT in partition:
            return np.array_equal(partition[CONTENT], self.digest)
        rows = partition["train_index"]
        theirs = partition.get("train_true_label", partition["train_label"])
        if (rows >= len(self.labels)).any():
            return False
        copied = partition["train_duplicate_of"] >= 0 if "train_duplicate_of" in partition else rows < 0
        known = ~copied & ~np.isin(rows, partition.get("canary_index", rows[:0]))
        return np.array_equal(theirs[known], self.labels[rows[known]])


def digest(arrays: Iterable[tuple[str, StoredArrays | None]]) -> bytes:
    """16 bytes, BLAKE2b of all ``arrays`` that there are, with their names, types and shapes, in their order."""
    whole = hashlib.blake2b(digest_size=16)
    for whose, each in arrays:
        for name, array in stored.named(each) if each is not None else ():
            whole.update(f"{f'{whose}.{name}' if name else whose} {array.dtype} {array.shape}".encode())
            whole.update(np.ascontiguousarray(array).data)
    return whole.digest()
