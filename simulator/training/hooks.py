"""Which of a node's methods have something to do at a hook of the local steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simulator.core.errors import RunError
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.samples import Batch

CHANGES = "Let traits return Traits(losses='changes'), or 'replaces' where it makes no use of those that it is given."


def overriding(node: Node, hook: str) -> list[Method]:
    """The node's methods that do something at ``hook``."""
    return [method for method in node.methods if overrides(type(method), hook)]


def overrides(method: type[Method], hook: str) -> bool:
    """Whether ``method`` does something at ``hook``."""
    return getattr(method, hook) is not getattr(Method, hook)


def combines(method: type[Method]) -> bool:
    """Whether ``method`` makes the step's gradient of the gradients of single samples."""
    return overrides(method, "combine_gradients") or overrides(method, "weigh_gradients")


def combining(node: Node) -> Method | None:
    """The node's method that does so; None if there is none."""
    return next((method for method in node.methods if combines(type(method))), None) if node.methods else None


def losses_by(methods: Sequence[Method], node: Node, batch: Batch, outputs: Tensor, losses: Tensor) -> Tensor:
    """float [B]: what the methods' ``per_sample_loss`` make of the losses, one after the other.

    Raises:
        RunError: one returns something else than a loss a sample, which a mean over it would hide, or other losses
            where it declares that it watches them.
    """
    for method in methods:
        found = method.per_sample_loss(node, batch, outputs, losses)
        if not isinstance(found, Tensor) or found.shape != losses.shape:
            shown = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            what = f"per_sample_loss of method {method.config.name} returns {shown}, at node {node.id} in round"
            advice = f"Return a loss for each of the {len(losses)} samples of the batch: {list(losses.shape)}."
            raise RunError(f"{what} {node.round}.\n    {advice}")
        if found is not losses and method.traits(method.config).losses == "watches" and not torch.equal(found, losses):
            what = f"per_sample_loss of method {method.config.name} changes the losses, at node {node.id} in round"
            raise RunError(f"{what} {node.round}, and declares that it watches them.\n    {CHANGES}")
        losses = found
    return losses
