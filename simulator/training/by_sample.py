"""Gradients sample by sample, for a method that makes the step's gradient of them (`Method.combine_gradients`).

Each sample gets its own row of parameters, and the network runs over all rows at once. Opacus' hooks would do the same
for one node, but where activations are channels-last, as here, those of convolutions are wrong (Opacus 1.6: `unfold2d`
takes the strides of a contiguous image for granted).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simulator.core.arrays import mapped, together
from simulator.core.flat_module import fill
from simulator.core.node import Node
from simulator.core.samples import Batch
from simulator.training.feed import batch_length
from simulator.training.hooks import overriding
from simulator.training.stacked_module import StackedModule


def backward_by_sample(
    stacked: StackedModule, nodes: Sequence[Node], batches: Sequence[Batch], gradient: Tensor
) -> Tensor:
    """Let a method of each node combine the gradients of its samples.

    Args:
        stacked: the network.
        nodes: n of them, whose steps are taken together.
        batches: one a node, of any lengths.
        gradient: float [n, parameters], to be written to: node.gradient of each.

    Returns:
        float [n]: each node's summed loss over the expected length of its batch.
    """
    lengths, losses = [len(batch) for batch in batches], gradient.new_zeros(len(nodes))
    rows = gradient.new_zeros(sum(lengths), gradient.shape[1])
    if len(rows):
        views = _a_row_a_sample(stacked, nodes, lengths)
        inputs = mapped(together([batch.inputs for batch in batches]), lambda array: array[:, None])
        outputs = stacked.outputs(views, inputs)[:, 0]
        losses = _losses(stacked, nodes, batches, torch.split(outputs.to(gradient.dtype), lengths), gradient)
        fill(stacked.module.views(rows), stacked.differentiate(losses.sum(), views))
    for node, batch, samples, own in zip(nodes, batches, torch.split(rows, lengths), gradient, strict=True):
        if node.marks:
            private = batch.positions[batch.positions < len(node.data.train)]  # which come first
            node.marks.plant(samples, node.data.train.index[private], node.round)
        (method,) = overriding(node, "combine_gradients")
        with node.using(stacked.module, own):
            method.combine_gradients(node, batch, samples)
    return losses.detach() / losses.new_tensor([batch_length(node) for node in nodes])


def _a_row_a_sample(stacked: StackedModule, nodes: Sequence[Node], lengths: Sequence[int]) -> dict[str, Tensor]:
    rows = [node.parameters.expand(length, -1) for node, length in zip(nodes, lengths, strict=True)]
    matrix = rows[0] if len(rows) == 1 else torch.cat(rows)
    return {name: view.detach().requires_grad_() for name, view in stacked.module.named_views(matrix).items()}


def _losses(
    stacked: StackedModule, nodes: Sequence[Node], batches: Sequence[Batch], outputs: Sequence[Tensor], gradient: Tensor
) -> Tensor:
    """float [n]: each node's loss, summed over its samples."""
    sums = []
    for node, batch, own, place in zip(nodes, batches, outputs, gradient, strict=True):
        losses = node.data.task.losses(own, batch.targets)
        with node.using(stacked.module, place):
            for method in overriding(node, "per_sample_loss") if len(batch) else ():
                losses = method.per_sample_loss(node, batch, own, losses)
        sums.append(losses.sum())
    return torch.stack(sums)
