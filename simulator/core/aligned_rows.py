"""Vectors as rows of one matrix, each at an address of its own kind: results then do not depend on a row's place.

Kernels for matrices and vectors round differently at other addresses, in the last digits, so a node would compute
otherwise with other nodes beside it in memory than by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

ALIGNMENT = 64  # bytes: where torch begins every tensor, and a line of the cache


def pitch(length: int, itemsize: int) -> int:
    """How many elements after a row of ``length`` elements the next one begins."""
    unit = max(1, ALIGNMENT // itemsize)
    return -(-length // unit) * unit


def aligned_rows(vectors: Sequence[Tensor]) -> Tensor:
    """Copies of vectors of one length, [n, length], each row beginning at a multiple of `ALIGNMENT` bytes."""
    first = vectors[0]
    whole = first.new_zeros(len(vectors), pitch(len(first), first.element_size()))
    rows = whole[:, : len(first)]
    for row, vector in zip(rows, vectors, strict=True):
        row.copy_(vector)
    return rows


def aligned_like(rows: Tensor) -> Tensor:
    """Memory for as many rows, at addresses of the same kind; zeros."""
    return rows.new_zeros(rows.shape[0], rows.stride(0))[:, : rows.shape[1]]
