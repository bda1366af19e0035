"""The training samples of a run, and what an onlooker knows of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainingSamples:
    """The training samples of all nodes, node by node: N in all.

    Attributes:
        node: int64 [N], who trains on it.
        index: int64 [N], its row of the data set's training arrays.
        label: int64 [N], the class it was given; -1 where the task has no classes.
        true_label: int64 [N], its class before data were corrupted.
        wrong: bool [N] by what is wrong with it: "flipped labels", or "duplicates with different labels", both samples
            of a pair. No sample is in two of them.
        class_names: text [classes].
    """

    node: Ints
    index: Ints
    label: Ints
    true_label: Ints
    wrong: Mapping[str, Bools]
    class_names: NDArray[np.str_]

    @classmethod
    def of(cls, partition: Arrays) -> TrainingSamples:
        """The training samples of a run, from its ``partition.npz``."""
        node, index = (partition[f"train_{name}"] for name in ("node", "index"))
        label = partition.get("train_label", np.full(len(node), -1))
        wrong = {kind: mask for kind, mask in _wrong(partition, index).items() if mask.any()}
        return cls(node, index, label, partition.get("train_true_label", label), wrong, partition["class_names"])

    def __len__(self) -> int:
        return len(self.node)

    def at(self, rows: Bools) -> TrainingSamples:
        """The samples of ``rows``, bool [N]."""
        wrong = {kind: mask[rows] for kind, mask in self.wrong.items() if mask[rows].any()}
        label, true_label = self.label[rows], self.true_label[rows]
        return TrainingSamples(self.node[rows], self.index[rows], label, true_label, wrong, self.class_names)

    @property
    def clean(self) -> Bools:
        """The samples with which nothing is known to be wrong, bool [N]."""
        found = np.ones(len(self), dtype=bool)
        for mask in self.wrong.values():
            found &= ~mask
        return found


def _wrong(partition: Arrays, index: Ints) -> dict[str, Bools]:
    if "train_flipped" not in partition:
        return {}
    originals = partition["train_duplicate_of"]
    pairs = (originals >= 0) | np.isin(index, originals[originals >= 0])
    return {"flipped labels": partition["train_flipped"] & ~pairs, "duplicates with different labels": pairs}
