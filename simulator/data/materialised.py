"""Items that are read one by one, such as those of PyTorch's data sets, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.data.kinds.kind import StoredArrays

_AGAIN = 8  # items that are read twice
_ANY = "Give (input, target): tensors, arrays, pictures or numbers; an input can be several by name."


@dataclass(frozen=True)
class Materialised:
    """What was read.

    Attributes:
        inputs: with samples first.
        targets: [N] or [N, L].
        sites: [N], where each comes from; None if nothing says it.
        groups: [N], what each belongs to; None likewise.
    """

    inputs: StoredArrays
    targets: NDArray[Any]
    sites: NDArray[Any] | None
    groups: NDArray[Any] | None


def materialised(items: Any) -> Materialised:
    """All ``items``, which have a length and numbers, each an input and a target.

    Raises:
        InputError: an item cannot be read or is something else, items have different shapes, or an item differs from
            one reading to the next.
    """
    name = type(items).__name__
    try:
        count = len(items)
    except TypeError as error:
        raise wrong("", f"{name} has no length.", "Give it a __len__.") from error
    if not count:
        raise wrong("", f"{name} has no items.", "Give at least one.")
    pairs = [_pair(items, number) for number in range(count)]
    for number in range(min(_AGAIN, count)):
        if not _same(pairs[number], _pair(items, number)):
            what = f"item {number} of {name} is another one when it is read again."
            raise wrong("", what, "Take random augmentation out of it, and set data.augment instead.")
    names = list(pairs[0][0])
    inputs = {part: _stacked([each.get(part) for each, _ in pairs], part or "input") for part in names}
    if strange := next((n for n, (each, _) in enumerate(pairs) if list(each) != names), None):
        raise wrong("", f"item {strange} has other inputs by name than item 0: {', '.join(names)}.", _ANY)
    targets = _stacked([target for _, target in pairs], "target")
    sites, groups = (_of_items(items, attribute, count) for attribute in ("sites", "groups"))
    return Materialised(inputs[""] if names == [""] else inputs, targets, sites, groups)


def _pair(items: Any, number: int) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """The inputs of an item by name, "" where there is only one, and the target."""
    try:
        item = items[number]
    except Exception as error:  # a stranger's code can raise anything
        what = f"item {number} cannot be read: {type(error).__name__}: {error}."
        raise wrong("", what, "Correct its __getitem__.") from error
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise wrong("", f"item {number} is {_described(item)}, and no input with its target.", _ANY)
    inputs = item[0] if isinstance(item[0], Mapping) else {"": item[0]}
    return {part: _array(value, number) for part, value in inputs.items()}, _array(item[1], number)


def _array(value: Any, number: int) -> NDArray[Any]:
    array = value.numpy(force=True) if isinstance(value, torch.Tensor) else np.array(value)
    if array.dtype.kind not in "biufU" or (array.dtype.kind == "U" and array.ndim):
        raise wrong("", f"item {number} holds {_described(value)}.", _ANY)
    return array.copy()  # a stranger may use its memory again


def _stacked(arrays: Sequence[NDArray[Any] | None], name: str) -> NDArray[Any]:
    shapes = [None if array is None else array.shape for array in arrays]
    if odd := next((number for number, shape in enumerate(shapes) if shape != shapes[0]), None):
        what = f"the {name} of item {odd} has shape {shapes[odd]}, and that of item 0 {shapes[0]}."
        raise wrong("", what, "Give all items one shape: pad sequences, and resize pictures.")
    return np.stack([array for array in arrays if array is not None])


def _same(one: tuple[Mapping[str, Any], Any], other: tuple[Mapping[str, Any], Any]) -> bool:
    pairs = [*((one[0][name], other[0].get(name)) for name in one[0]), (one[1], other[1])]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs)


def _of_items(items: Any, attribute: str, count: int) -> NDArray[Any] | None:
    found = getattr(items, attribute, None)
    if found is None:
        return None
    values = found.numpy(force=True) if isinstance(found, torch.Tensor) else np.array(found)
    if values.shape != (count,) or values.dtype.kind not in "biufU":
        what = f"{attribute} has shape {values.shape} and type {values.dtype}, for {count} items."
        raise wrong("", what, "Give one number or text an item.")
    return values


def _described(value: Any) -> str:
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, tuple | list) else "")
