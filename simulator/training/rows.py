"""The vectors of several nodes as one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from simulator.core.node import Node


@contextmanager
def rows_of(nodes: Sequence[Node], name: Literal["parameters", "momentum"]) -> Iterator[Tensor]:
    """The nodes' vectors as rows of one matrix (float [n, parameters]) for the length of the block.

    Vectors that lie end to end already are not copied. Others are, and back at the end; meanwhile the rows stand in
    for them at the nodes.
    """
    vectors: list[Tensor] = [getattr(node, name) for node in nodes]
    if _end_to_end(vectors):
        yield vectors[0].as_strided((len(vectors), len(vectors[0])), (len(vectors[0]), 1))
        return
    matrix = torch.stack(vectors)
    for node, row in zip(nodes, matrix, strict=True):
        setattr(node, name, row)
    try:
        yield matrix
    finally:
        for node, vector, row in zip(nodes, vectors, matrix, strict=True):
            setattr(node, name, vector.copy_(row))


def _end_to_end(vectors: Sequence[Tensor]) -> bool:
    first = vectors[0]
    return all(
        vector.untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
        and vector.storage_offset() == first.storage_offset() + place * len(first)
        for place, vector in enumerate(vectors)
    )
