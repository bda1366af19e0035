"""One node after the other, one step after the other: the reference, and the fastest way for convolutions on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from torch import Tensor

from simulator.core.arrays import called
from simulator.core.flat_module import FlatModule
from simulator.core.hook_results import call
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.samples import Batch
from simulator.training.by_sample import BySample
from simulator.training.evaluation import Scores, evaluate
from simulator.training.hooks import combining, losses_by, overriding
from simulator.training.trainer import Trainer


class Sequential(Trainer):
    """Mini-batch SGD on the flat parameter vector, with the methods' hooks in their places."""

    def __init__(self, module: FlatModule) -> None:
        super().__init__(module)
        self._by_sample = BySample(module)

    def train(self, nodes: Sequence[Node]) -> None:
        """All steps of a node, then those of the next."""
        for node in nodes:
            with node.using(self.module), node.drawing("network"):
                _train(node, self._by_sample)

    def evaluate(self, nodes: Sequence[Node]) -> list[Scores]:
        """One node after the other."""
        return [evaluate(self.module, node.parameters, node.data.test, node.data, node.buffers) for node in nodes]


def _train(node: Node, by_sample: BySample) -> None:
    augment_rng = node.rng("augmentation")
    backward: Backward
    if combining(node):
        backward = partial(_by_sample, by_sample)
    else:
        backward = partial(_backward, overriding(node, "per_sample_loss"))
    step_hooks = overriding(node, "before_step")
    steps = node.local_steps
    node.record_loss(sum(_step(node, augment_rng, backward, step_hooks) for _ in range(steps)) / steps)


Backward = Callable[[Node, Batch], Tensor]


def _step(node: Node, augment_rng: np.random.Generator, backward: Backward, step_hooks: list[Method]) -> float:
    settings, model = node.training, node.model
    batch = node.next_batch(augment_rng)
    loss = backward(node, batch)
    if settings.optimizer.weight_decay:
        model.gradient.add_(node.parameters, alpha=settings.optimizer.weight_decay)
    call(node, "before_step", step_hooks, batch)
    _move(node, model.gradient)
    return loss.item()


def _backward(loss_hooks: list[Method], node: Node, batch: Batch) -> Tensor:
    """Leave the gradient of the mean loss in the module; returns that loss."""
    model = node.model
    with model.autocast():
        outputs = called(model.module, batch.inputs)
    losses = node.data.task.losses(outputs.to(model.dtype), batch.targets)
    loss = losses_by(loss_hooks, node, batch, outputs, losses).mean()
    model.differentiate(loss)
    return loss


def _by_sample(by_sample: BySample, node: Node, batch: Batch) -> Tensor:
    """Leave what a method makes of the samples' gradients in the module; returns the loss."""
    return by_sample.backward([node], [batch], node.model.gradient[None])[0]


def _move(node: Node, gradient: Tensor) -> None:
    optimizer = node.training.optimizer
    direction = gradient
    if node.momentum is not None:
        node.momentum.mul_(optimizer.momentum).add_(gradient)
        direction = gradient.add_(node.momentum, alpha=optimizer.momentum) if optimizer.nesterov else node.momentum
    node.parameters.add_(direction, alpha=-node.learning_rate)
