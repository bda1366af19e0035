"""Whether a network can be stacked: found out by trying, before a run begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from simulator.core.arrays import Arrays, called, together
from simulator.core.flat_module import FlatModule, Precision
from simulator.core.samples import NodeData
from simulator.training.rows import stacked_state
from simulator.training.stacked_module import StackedModule
from simulator.training.vectorised import CannotBeVectorisedError, explaining

SAMPLES = 2  # a model
TOLERANCE: Mapping[Precision, float] = {"fp64": 1e-8, "fp32": 1e-3, "bf16": 0.3}  # relative, in norm


def obstacle(module: FlatModule, data: NodeData) -> str | None:
    """What goes wrong when two models of this network are stacked; None if they give what each gives alone.

    Outputs, gradients and running statistics are compared, on a few training samples.
    """
    rows = (torch.arange(2 * SAMPLES) % len(data.train)).view(2, SAMPLES)
    batches = [data.preparation(data.train.inputs_at(own), module.dtype) for own in rows]
    matrix = torch.stack([module.initial, 0.9 * module.initial])
    try:
        with explaining(module.module):
            stacked = _stacked(module, matrix, together(batches, torch.stack))
    except CannotBeVectorisedError as error:
        return error.what
    alone = _alone(module, matrix, batches)
    for one, other in zip(stacked, alone, strict=True):
        if one.shape != other.shape or _distance(one, other) > TOLERANCE[module.precision] * _distance(other):
            return "the network: its outputs, gradients or running statistics are not those of each model alone."
    return None


def _stacked(module: FlatModule, matrix: Tensor, inputs: Arrays) -> Sequence[Tensor]:
    matrix = matrix.clone().requires_grad_()
    state = stacked_state([buffers] * len(matrix)) if (buffers := module.initial_buffers) else {}
    outputs = StackedModule(module).outputs(matrix, inputs, buffers=state).to(module.dtype)
    return outputs.detach(), torch.autograd.grad(outputs.square().sum(), matrix)[0], *state.values()


def _alone(module: FlatModule, matrix: Tensor, batches: Sequence[Arrays]) -> Sequence[Tensor]:
    found = []
    for row, batch in zip(matrix, batches, strict=True):
        buffers = module.initial_buffers
        module.bind(row, buffers)
        module.gradient.zero_()
        with module.autocast():
            outputs = called(module.module, batch)
        outputs.to(module.dtype).square().sum().backward()  # type: ignore[no-untyped-call]
        state = buffers.views().values() if buffers else ()
        found.append((outputs.detach().to(module.dtype), module.gradient.clone(), *state))
    module.bind(module.initial, module.initial_buffers)
    return [torch.stack(parts) for parts in zip(*found, strict=True)]


def _distance(one: Tensor, other: Tensor | float = 0.0) -> Tensor:
    found: Tensor = (one - other).double().norm()
    return found
