"""What messages may hold: mixer and methods declare the parts they send, and both ends hold a message against that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

LARGEST = 1e15  # of a value that nobody bounds: sums and squares of many such are finite in single precision
HEADER = 4096  # bytes of an encoded message beside its tensors, at most


@dataclass(frozen=True)
class Declared:
    """One part of a message, as its sender makes it and its receiver demands it.

    Attributes:
        dtype: of the tensor.
        shape: of the tensor, one entry a dimension: its size, or the range of its sizes.
        least: the smallest value, ``most`` the largest one.
        optional: whether a message may come without the part.
        gaps: whether NaN may stand for a value that there is not; otherwise all values are finite.
    """

    dtype: torch.dtype
    shape: tuple[int | range, ...]
    least: float = -LARGEST
    most: float = LARGEST
    optional: bool = False
    gaps: bool = False

    @classmethod
    def like(cls, tensor: Tensor, most: float = LARGEST) -> Declared:
        """A tensor of the type and shape of ``tensor``, whose values are at most ``most`` in magnitude."""
        return cls(tensor.dtype, tuple(tensor.shape), -most, most)

    @property
    def bytes(self) -> int:
        """Of the largest such tensor."""
        return self.dtype.itemsize * prod(size if isinstance(size, int) else size[-1] for size in self.shape)

    def fits(self, tensor: Tensor) -> bool:
        """Whether type and shape are as declared."""
        sizes = tensor.shape
        return tensor.dtype == self.dtype and len(sizes) == len(self.shape) and all(map(_is, sizes, self.shape))

    def holds(self, tensor: Tensor) -> bool:
        """Whether all values are within the bounds; NaN is not."""
        values = tensor[~tensor.isnan()] if self.gaps else tensor
        if not values.numel():
            return True
        least, most = values.aminmax()
        return bool(least >= self.least) and bool(most <= self.most)

    def __str__(self) -> str:
        sizes = (str(size) if isinstance(size, int) else f"{size[0]} to {size[-1]}" for size in self.shape)
        return f"{_name(self.dtype)} [{', '.join(sizes)}]"


def misfit(parts: Mapping[str, Tensor], declared: Mapping[str, Declared]) -> str | None:
    """How names, types or shapes of ``parts`` differ from what is ``declared``, as a sentence's end; None: not at all.

    Looks at no value, so that it costs next to nothing.
    """
    for name, tensor in parts.items():
        if name not in declared:
            return f"holds a part {name[:80]!r}, which neither the mixer nor a method declares for this round"
        if not declared[name].fits(tensor):
            is_a = f"{_name(tensor.dtype)} {list(tensor.shape)}"
            return f"holds {is_a} as part '{name}', which is declared as {declared[name]}"
    for name, one in declared.items():
        if name not in parts and not one.optional:
            return f"lacks the part '{name}'"
    return None


def excess(parts: Mapping[str, Tensor], declared: Mapping[str, Declared]) -> str | None:
    """Which of ``parts``, all of them `misfit` for nothing, has values out of bounds, as a sentence's end; or None."""
    for name, tensor in parts.items():
        if not declared[name].holds(tensor):
            return f"holds values in part '{name}' that are not finite or out of bounds"
    return None


def largest(declared: Mapping[str, Declared]) -> int:
    """Bytes of the longest message that fits, encoded."""
    return HEADER + sum(len(name) + one.bytes for name, one in declared.items())


def _is(size: int, declared: int | range) -> bool:
    return size == declared if isinstance(declared, int) else size in declared


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
