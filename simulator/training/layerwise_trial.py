"""Whether a network lets the gradients of samples be known layer by layer: found out by trying, before it is trained.

`Layerwise` sees for itself where a parameter is used elsewhere than in a layer. What it takes for granted is that what
goes into a layer has samples in its first dimension; and that shows in norms and sums of gradients that are not those
of gradients that are written out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from simulator.core.arrays import Arrays, called, taken
from simulator.core.flat_module import FlatModule
from simulator.core.sample_gradients import SampleGradients
from simulator.core.samples import NodeData
from simulator.training.layerwise import Layerwise, NotLayerwiseError
from simulator.training.stackable import TOLERANCE
from simulator.training.vectorised import CannotBeVectorisedError, explaining
from simulator.training.written_out import WrittenOut

LENGTHS = 2, 3  # samples of two models
ELSEWHERE = 0.1  # of what parameters are: many are 0 in the beginning, and have gradients that say nothing


def tried(module: FlatModule, data: NodeData) -> Layerwise:
    """The network of ``module``, looked at layer by layer: tried on a few training samples.

    Raises:
        NotLayerwiseError: it cannot be; the text says why.
    """
    rows = torch.arange(sum(LENGTHS)) % len(data.train)
    inputs = data.preparation(data.train.inputs_at(rows), module.dtype)
    module.bind(module.initial, module.initial_buffers)
    found = Layerwise(module, layers_aside(module.module, inputs))
    noise = torch.randn(2, module.num_parameters, dtype=module.dtype, generator=torch.Generator().manual_seed(0))
    parameters = list(module.initial + ELSEWHERE * module.initial.std() * noise.to(module.initial))
    try:
        with explaining(module.module):
            samples = found.gradients(parameters, LENGTHS, inputs, _loss)
    except CannotBeVectorisedError as error:
        cause = error.__cause__
        raise (cause if isinstance(cause, NotLayerwiseError) else NotLayerwiseError(error.what)) from error
    for one, other in zip(samples, WrittenOut(module).gradients(parameters, LENGTHS, inputs, _loss), strict=True):
        for mine, theirs in zip(_told(one), _told(other), strict=True):
            if not (mine - theirs).norm() <= TOLERANCE[module.precision] * theirs.norm():
                raise NotLayerwiseError("what goes into some layer does not have samples in its first dimension")
    return found


@torch.no_grad()
def layers_aside(network: nn.Module, inputs: Arrays) -> set[str]:
    """The layers that are given as much whatever the number of samples; of ``inputs`` of three or more."""
    seen = defaultdict[str, set[int]](set)
    with ExitStack() as stack:
        for name, layer in network.named_modules():
            stack.callback(layer.register_forward_pre_hook(_noting(seen[name])).remove)
        for count in LENGTHS:
            called(network, taken(inputs, torch.arange(count)))
    return {name for name, lengths in seen.items() if len(lengths) == 1}


def _noting(lengths: set[int]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def note(layer: nn.Module, given: tuple[Any, ...]) -> None:
        lengths.update(len(each) for each in given[:1] if isinstance(each, Tensor) and each.dim())

    return note


def _loss(outputs: Tensor) -> Tensor:
    return outputs.float().square().sum() if outputs.dtype == torch.bfloat16 else outputs.square().sum()


def _told(samples: SampleGradients) -> Sequence[Tensor]:
    """Norms, and a sum by weights that differ."""
    norms = samples.norms_by_tensor()
    weights = torch.arange(1, 1 + norms.numel(), device=norms.device).to(norms).view(norms.shape)
    return norms, samples.sum(weights)
