"""The batches of several nodes, step by step, stacked into one: the same samples as each would draw alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from simulator.core.arrays import Arrays, mapped, rows_taken, taken, together
from simulator.core.node import Node
from simulator.core.samples import Batch


@dataclass(frozen=True)
class StackedBatch:
    """One step's training data of n nodes.

    Attributes:
        inputs: [n, B, ...] as the network takes them.
        targets: [n, B, ...]: int64 [n, B] classes, or float [n, B, classes] where any node has soft labels.
        positions: int64 [n, B], as in `Batch`; empty where there are ``parts``.
        parts: each node's own batch, where they were made one by one.
    """

    inputs: Arrays
    targets: Tensor
    positions: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.int64))
    parts: Sequence[Batch] = ()

    def part(self, place: int) -> Batch:
        """The batch of the node at ``place`` in the stack."""
        if self.parts:
            return self.parts[place]
        own = mapped(self.inputs, lambda array: array[place])
        return Batch(own, self.targets[place], self.positions[place])


def batch_length(node: Node) -> int:
    """How many samples the node takes a step, or expects to: a set smaller than a batch is taken whole."""
    return min(node.training.batch_size, len(node.training_set))


def stacked_batches(nodes: Sequence[Node], steps: int) -> Iterator[StackedBatch]:
    """One stacked batch a step, from nodes with batches of equal length."""
    first = nodes[0].data
    shared = all(n.data.train.inputs is first.train.inputs and n.data.preparation is first.preparation for n in nodes)
    plain = shared and all(node.training_set.is_plain for node in nodes)
    return _plain(nodes, steps) if plain else _joined(nodes, steps)


def _plain(nodes: Sequence[Node], steps: int) -> Iterator[StackedBatch]:
    """All nodes' samples are rows of one array: the indices of a round move to the device at once."""
    size, first = batch_length(nodes[0]), nodes[0].data
    drawn = [node.training_set.next_rows(steps * size, node.rng) for node in nodes]
    positions, index = (
        torch.from_numpy(np.concatenate(each).reshape(len(nodes), -1)) for each in zip(*drawn, strict=True)
    )
    rows = first.train.places(index)
    assert first.train.targets is not None  # what a node trains on is labelled
    for places, here in zip(torch.split(positions, size, dim=1), torch.split(rows, size, dim=1), strict=True):
        flat = first.preparation(taken(first.train.inputs, here.flatten()), nodes[0].parameters.dtype)
        inputs = mapped(flat, lambda array, shape=here.shape: array.view(*shape, *array.shape[1:]))  # type: ignore[misc]
        yield StackedBatch(inputs, rows_taken(first.train.targets, here), places)


def _joined(nodes: Sequence[Node], steps: int) -> Iterator[StackedBatch]:
    """Each node makes its own batch."""
    for parts in separate_batches(nodes, steps):
        inputs = together([part.inputs for part in parts], torch.stack)
        yield StackedBatch(inputs, _targets(parts, nodes[0].data.classes), parts=parts)


def separate_batches(nodes: Sequence[Node], steps: int) -> Iterator[list[Batch]]:
    """One batch a node each step, of whatever lengths."""
    augment_rngs = [node.rng("augmentation") for node in nodes]
    for _ in range(steps):
        yield [
            node.training_set.next_batch(node.training.batch_size, node.rng, rng)
            for node, rng in zip(nodes, augment_rngs, strict=True)
        ]


def _targets(parts: Sequence[Batch], classes: int) -> Tensor:
    soft = next((part.targets for part in parts if part.targets.is_floating_point()), None)
    if soft is None or not classes:
        return torch.stack([part.targets for part in parts])
    return torch.stack([_softened(part.targets, classes, soft.dtype) for part in parts])


def _softened(targets: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    return targets if targets.is_floating_point() else one_hot(targets, classes).to(dtype)
