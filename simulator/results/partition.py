"""Reads ``partition.npz``, which `NetworkData.save_partition` writes, and sees that its arrays fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.damage import Arrays, read_arrays, reading

PUBLIC = ("public_labels", "public_in_distribution", "public_source", "public_index")
OF_A_SAMPLE = (
    "index",
    "label",
    "group",
    "true_label",
    "flipped",
    "duplicate_of",
)  # the last three where some are corrupted
NONE = np.empty(0, dtype=np.int64)


def read_partition(file: Path, nodes: int) -> Arrays:
    """The arrays of the partition among so many nodes.

    Raises:
        InputError: the file is missing or damaged, or of another network.
    """
    arrays = read_arrays(file)
    with reading(file):
        _check_public(arrays)
        for name in [name for name in arrays if name.endswith("_node")]:
            _check_split(name.removesuffix("_node"), arrays, nodes)
    return arrays


def _check_split(split: str, arrays: Mapping[str, NDArray[Any]], nodes: int) -> None:
    node, label = _whole(f"{split}_node", arrays), arrays.get(f"{split}_label", NONE)
    for name in [name for name in (f"{split}_{each}" for each in OF_A_SAMPLE) if name in arrays]:
        if _whole(name, arrays).shape != node.shape:
            raise ValueError(f"{name} has {len(arrays[name])} entries, where there are {len(node)} samples")
    for array, limit, what in ((node, nodes, "node"), (label, len(arrays["class_names"]), "class")):
        if len(array) and not 0 <= array.min() <= array.max() < limit:
            raise ValueError(f"{split}_{what} names others than the {limit} there are")


def _check_public(arrays: Mapping[str, NDArray[Any]]) -> None:
    names = arrays["class_names"]
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError("class_names are no names")
    if len({_whole(name, arrays).shape for name in PUBLIC if name in arrays}) > 1:
        raise ValueError("the arrays of the public set differ in their lengths")


def _whole(name: str, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """An array of whole numbers or of truth values, [N]."""
    array = arrays[name]
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_):
        raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, and no row of whole numbers")
    return array
