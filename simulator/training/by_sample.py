"""Steps of nodes whose method makes the step's gradient of the gradients of single samples.

For a method that weighs them (`Method.weigh_gradients`) they are written out only where the network does not let them
be known layer by layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

from simulator.core.arrays import together
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.core.sample_gradients import GradientRows, Replaced, SampleGradients
from simulator.core.samples import Batch
from simulator.training.feed import batch_length
from simulator.training.hooks import combining, losses_by, overrides, overriding
from simulator.training.layerwise import Layerwise, NotLayerwiseError
from simulator.training.layerwise_trial import tried
from simulator.training.row_wise import check_row_wise
from simulator.training.stacked_module import through_the_model
from simulator.training.written_out import WrittenOut


class BySample:
    """A worker's way to such gradients.

    Args:
        module: the network.
    """

    def __init__(self, module: FlatModule) -> None:
        self._module, self._written_out = module, WrittenOut(module)
        self._layerwise: Layerwise | None = None
        self._is_tried = False
        self._checked = dict[int, int]()  # the last round in which a node's methods were looked at

    def writes_out(self, node: Node) -> bool:
        """Whether each sample of ``node`` takes a row of parameters: found out by trying, where it is asked first."""
        return self._way(node) is self._written_out

    def backward(self, nodes: Sequence[Node], batches: Sequence[Batch], gradient: Tensor) -> Tensor:
        """Let a method of each node make its gradient of those of its samples.

        Args:
            nodes: n of them, whose steps are taken together.
            batches: one a node, of any lengths.
            gradient: float [n, parameters], to be written to: node.gradient of each.

        Returns:
            float [n]: each node's summed loss over the expected length of its batch.
        """
        lengths, losses = [len(batch) for batch in batches], gradient.new_zeros(len(nodes))

        def loss(outputs: Tensor) -> Tensor:
            nonlocal losses
            losses = self._losses(nodes, batches, torch.split(outputs.to(gradient.dtype), lengths), gradient)
            return losses.sum()

        samples: Sequence[SampleGradients]
        if any(lengths):
            parameters = [node.parameters for node in nodes]
            inputs = together([batch.inputs for batch in batches])
            try:
                samples = self._way(nodes[0]).gradients(parameters, lengths, inputs, loss)
            except NotLayerwiseError as error:
                raise through_the_model() from error
        else:
            samples = [GradientRows(gradient.new_zeros(0, gradient.shape[1]), self._module.views) for _ in nodes]
        for node, batch, found, own in zip(nodes, batches, samples, gradient, strict=True):
            with node.using(self._module, own):
                self._combine(node, batch, found)
        return losses.detach() / losses.new_tensor([batch_length(node) for node in nodes])

    def _way(self, node: Node) -> Layerwise | WrittenOut:
        if not overriding(node, "weigh_gradients"):
            return self._written_out
        if not self._is_tried:
            self._is_tried = True
            with suppress(NotLayerwiseError):
                self._layerwise = tried(self._module, node.data)
            self._module.bind(node.parameters, node.buffers)
        return self._layerwise or self._written_out

    def _combine(self, node: Node, batch: Batch, samples: SampleGradients) -> None:
        """Let the node's method do it, with marks in the place of canaries' gradients."""
        method = combining(node)
        assert method is not None
        if overrides(type(method), "weigh_gradients"):
            method.weigh_gradients(node, batch, self._with_marks(node, batch, samples) if node.marks else samples)
        else:
            assert isinstance(samples, GradientRows)
            if node.marks:
                node.marks.plant(samples.rows, _rows_of_private(node, batch), node.round)
            method.combine_gradients(node, batch, samples.rows)

    def _with_marks(self, node: Node, batch: Batch, samples: SampleGradients) -> SampleGradients:
        assert node.marks is not None
        index = _rows_of_private(node, batch)
        places = node.marks.among(index)
        planted = node.gradient.new_zeros(len(places), len(node.gradient))
        node.marks.plant(planted, index[places], node.round)
        return Replaced(samples, places.to(planted.device), GradientRows(planted, self._module.views))

    def _losses(
        self, nodes: Sequence[Node], batches: Sequence[Batch], outputs: Sequence[Tensor], gradient: Tensor
    ) -> Tensor:
        """float [n]: each node's loss, summed over its samples."""
        sums = []
        for node, batch, own, place in zip(nodes, batches, outputs, gradient, strict=True):
            losses = node.data.task.losses(own, batch.targets)
            methods = overriding(node, "per_sample_loss") if len(batch) else []
            with node.using(self._module, place):
                if methods and self._checked.get(node.id) != node.round:
                    check_row_wise(methods, node, batch, own, self._module.precision)
                    self._checked[node.id] = node.round
                sums.append(losses_by(methods, node, batch, own, losses).sum())
        return torch.stack(sums)


def _rows_of_private(node: Node, batch: Batch) -> Tensor:
    """int64: the rows of the training arrays of a batch's private samples, which come first."""
    return node.data.train.index[batch.positions[batch.positions < len(node.data.train)]]
