"""Whether a network can be stacked: found out by trying, before a run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from simulator.core.flat_module import FlatModule, Precision
from simulator.core.samples import NodeData
from simulator.training.stacked_module import StackedModule
from simulator.training.vectorised import CannotBeVectorisedError, explaining

IMAGES = 2  # a model
TOLERANCE: Mapping[Precision, float] = {"fp64": 1e-8, "fp32": 1e-3, "bf16": 0.3}  # relative, in norm


def obstacle(module: FlatModule, data: NodeData) -> str | None:
    """What goes wrong when two models of this network are stacked; None if they give what each gives alone.

    Logits and gradients are compared, on a few training images.
    """
    rows = torch.arange(2 * IMAGES) % len(data.train)
    images = torch.stack(data.normalizer(data.train.images_at(rows), module.dtype).chunk(2))
    matrix = torch.stack([module.initial, 0.9 * module.initial])
    try:
        with explaining(module.module):
            stacked = _stacked(module, matrix, images)
    except CannotBeVectorisedError as error:
        return error.what
    alone = _alone(module, matrix, images)
    for one, other in zip(stacked, alone, strict=True):
        if one.shape != other.shape or (one - other).norm() > TOLERANCE[module.precision] * other.norm():
            return "the network: its outputs or gradients are not those of each model alone."
    return None


def _stacked(module: FlatModule, matrix: Tensor, images: Tensor) -> Sequence[Tensor]:
    matrix = matrix.clone().requires_grad_()
    logits = StackedModule(module).logits(matrix, images).to(module.dtype)
    return logits.detach(), torch.autograd.grad(logits.square().sum(), matrix)[0]


def _alone(module: FlatModule, matrix: Tensor, images: Tensor) -> Sequence[Tensor]:
    found = []
    for row, batch in zip(matrix, images, strict=True):
        module.bind(row)
        module.gradient.zero_()
        with module.autocast():
            logits = module.module(batch)
        logits.to(module.dtype).square().sum().backward()
        found.append((logits.detach().to(module.dtype), module.gradient.clone()))
    module.bind(module.initial)
    logits, gradients = zip(*found, strict=True)
    return torch.stack(logits), torch.stack(gradients)
