"""Whether a method's loss of a sample depends on that sample alone, as it declares: seen on a batch of every round.

Gradients that are clipped sample by sample protect a sample only where it has no part in the losses of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy, deepcopy

import torch
from torch import Tensor

from simulator.core.arrays import taken
from simulator.core.errors import RunError
from simulator.core.flat_module import Precision
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.samples import Batch
from simulator.training.hooks import losses_by
from simulator.training.stackable import TOLERANCE


def check_row_wise(methods: Sequence[Method], node: Node, batch: Batch, outputs: Tensor, precision: Precision) -> None:
    """Refuse losses of every other sample that change where the samples between them are others.

    Copies of the methods are asked, so that they and the node stay as they are.

    Args:
        methods: those of the node with ``per_sample_loss``, all of which declare themselves ``row_wise``.
        node: whose step it is.
        batch: of the step, of any length.
        outputs: of the network, as the step trains on them.
        precision: that it computes in.

    Raises:
        RunError: some do, which names the method.
    """
    if len(batch) < 2:
        return
    places = torch.arange(len(batch))
    kept = places % 2 == node.round % 2
    rows = torch.where(kept, places, places.roll(1))
    changed = Batch(taken(batch.inputs, rows), batch.targets[rows], batch.positions)
    other = torch.where(kept.to(outputs.device).view(-1, *[1] * (outputs.dim() - 1)), outputs, 1 - 3 * outputs)
    found = _losses(methods, node, batch, outputs, kept), _losses(methods, node, changed, other, kept)
    for method, (mine, astray), (theirs, _) in zip(methods, *found, strict=True):
        if astray or not (mine - theirs).norm() <= TOLERANCE[precision] * mine.norm():
            what = f"in per_sample_loss of {method.config.name}, a sample's loss depends on the samples beside it"
            advice = "Work on each sample alone, without means, ranks or pairs; or do not declare row_wise."
            raise RunError(f"{what}, at node {node.id} in round {node.round}, and it declares row_wise.\n    {advice}")


def _losses(
    methods: Sequence[Method], node: Node, batch: Batch, outputs: Tensor, kept: Tensor
) -> Iterator[tuple[Tensor, bool]]:
    """After each of the methods: the losses of the samples that are ``kept``, and if others have a part in them."""
    aside = copy(node)
    aside.metrics, aside.artifacts = [], []
    known = {id(node): aside} | {id(each): each for each in (node.data, node.parameters, node.training_set)}
    outputs = outputs.detach().requires_grad_()
    losses = node.data.task.losses(outputs, batch.targets)
    for method in methods:
        graphs = {id(each): each.detach() for each in vars(method).values() if isinstance(each, Tensor)}
        losses = losses_by([deepcopy(method, known | graphs)], aside, batch, outputs, losses)
        (way,) = torch.autograd.grad(losses[kept].sum(), outputs, retain_graph=True)
        yield losses[kept].detach(), bool(way[~kept].any())
