"""One array with samples first, or several by name: what samples are stored as, and what a network is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

Arrays = Tensor | Mapping[str, Tensor]  # all with the same first dimension, that of samples


def mapped(arrays: Arrays, change: Callable[[Tensor], Tensor]) -> Arrays:
    """What ``change`` makes of each array, under the same names."""
    if isinstance(arrays, Tensor):
        return change(arrays)
    return {name: change(array) for name, array in arrays.items()}


def leaves(arrays: Arrays) -> list[Tensor]:
    """The arrays, without their names."""
    return [arrays] if isinstance(arrays, Tensor) else list(arrays.values())


def single(arrays: Arrays) -> Tensor:
    """The only array.

    Raises:
        ValueError: there are several.
    """
    if not isinstance(arrays, Tensor):
        raise ValueError(f"these samples are several arrays: {', '.join(arrays)}")
    return arrays


def count(arrays: Arrays) -> int:
    """How many samples they hold."""
    return len(leaves(arrays)[0])


def taken(arrays: Arrays, rows: Tensor) -> Arrays:
    """The samples ``rows`` (int64 [B] or any shape, on any device)."""
    return mapped(arrays, lambda array: rows_taken(array, rows.to(array.device)))


def rows_taken(array: Tensor, rows: Tensor) -> Tensor:
    """``array[rows]`` of whole rows, which are copied as they lie in memory: for small ones ten times as fast."""
    return array.index_select(0, rows.flatten()).view(*rows.shape, *array.shape[1:])


def together(parts: Sequence[Arrays], join: Callable[[list[Tensor]], Tensor] = torch.cat) -> Arrays:
    """``parts`` joined array by array: one after the other, or with ``torch.stack`` in a dimension of their own."""
    first = parts[0]
    if isinstance(first, Tensor):
        return join([leaves(part)[0] for part in parts])
    return {name: join([part[name] for part in parts if not isinstance(part, Tensor)]) for name in first}


def called(network: nn.Module, arrays: Arrays) -> Tensor:
    """The outputs of ``network``, which is given one array as its only argument, and several by name."""
    found: Tensor = network(arrays) if isinstance(arrays, Tensor) else network(**arrays)
    return found
