"""The vectors of several nodes as one matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from simulator.core.aligned_rows import aligned_rows, pitch
from simulator.core.buffers.layout import Buffers
from simulator.core.node import Node


@contextmanager
def rows_of(nodes: Sequence[Node], name: Literal["parameters", "momentum"]) -> Iterator[Tensor]:
    """The nodes' vectors as rows of one matrix (float [n, parameters]) for the length of the block.

    Vectors that lie end to end already are not copied. Others are, and back at the end; meanwhile the rows stand in
    for them at the nodes.
    """
    vectors: list[Tensor] = [getattr(node, name) for node in nodes]
    if _end_to_end(vectors):
        yield vectors[0].as_strided((len(vectors), len(vectors[0])), (_pitch(vectors[0]), 1))
        return
    matrix = aligned_rows(vectors)
    for node, row in zip(nodes, matrix, strict=True):
        setattr(node, name, row)
    try:
        yield matrix
    finally:
        for node, vector, row in zip(nodes, vectors, matrix, strict=True):
            setattr(node, name, vector.copy_(row))


def _end_to_end(vectors: Sequence[Tensor]) -> bool:
    """Whether they are rows of one matrix; of addresses alone, for this is asked of all nodes in every round."""
    first, step = vectors[0], _pitch(vectors[0]) * vectors[0].element_size()
    begin, whole = first.data_ptr(), first.untyped_storage()
    if begin + len(vectors) * step - _padding(first) > whole.data_ptr() + whole.nbytes():
        return False
    return all(vector.data_ptr() == begin + place * step for place, vector in enumerate(vectors))


def _padding(vector: Tensor) -> int:
    """Bytes between a row and the next."""
    return (_pitch(vector) - len(vector)) * vector.element_size()


def _pitch(vector: Tensor) -> int:
    return pitch(len(vector), vector.element_size())


@contextmanager
def state_rows_of(nodes: Sequence[Node]) -> Iterator[Mapping[str, Tensor] | None]:
    """The nodes' buffers by name, stacked for the length of the block; what is written to them is the nodes' then.

    None where their network keeps no state.
    """
    own = [node.buffers for node in nodes if node.buffers is not None]
    if not own:
        yield None
        return
    stacked = stacked_state(own)
    yield stacked
    for place, buffers in enumerate(own):
        for name, view in buffers.views().items():
            view.copy_(stacked[name][place])


def stacked_state(models: Sequence[Buffers]) -> dict[str, Tensor]:
    """The buffers of several models by name, copies; each in one piece, since vmap writes to nothing else in place."""
    views = [buffers.views() for buffers in models]
    return {name: torch.stack([each[name] for each in views]) for name in views[0]}
